# Classes of stress-ng that check their own results.
(
	for i in $(seq 30); do
		echo "alive $i"
		sleep 0.1
	done
) &
stress-ng --quiet --verify --temp-path . --vm 1 --vm-bytes 16m --vm-ops 4000 --cpu 1 --cpu-ops 60 \
	--pipe 1 --pipe-ops 60000 --futex 1 --futex-ops 30000 --timer 1 --timer-ops 20000 --fork 1 --fork-ops 500 \
	--sem 1 --sem-ops 40000 --matrix 1 --matrix-ops 60 --qsort 1 --qsort-ops 4 --malloc 1 --malloc-ops 20000 >/dev/null
echo "stress $?"
wait
