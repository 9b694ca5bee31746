# Classes of stress-ng that check their own results.
(
	for i in $(seq 60); do
		echo "alive $i"
		sleep 0.1
	done
) &
stress-ng --quiet --verify --temp-path . --timeout 4 --vm 1 --vm-bytes 16m --cpu 1 --pipe 1 --futex 1 --timer 1 \
	--fork 1 --matrix 1 --qsort 1 --malloc 1 --sem 1 --eventfd 1 --sigq 1 --poll 1 >/dev/null
status=$?
wait
echo "stress $status"
