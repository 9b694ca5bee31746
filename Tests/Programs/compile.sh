# A make of four files with two at a time, its job server in use; the objects have to be the same to the byte.
rm -rf build
mkdir build
for n in 1 2 3 4; do
	{
		echo '#include <stdio.h>'
		for i in $(seq 260); do
			echo "int f_${n}_$i(int a, int b) { int s = $i; for (int i = 0; i < a; i++) { s += (i * b) % (s | 1);" \
				"if (s & $i) s ^= b << (i & 7); else s -= a * $n; } return s; }"
		done
	} >build/part$n.c
done
{
	printf 'all: part1.o part2.o part3.o part4.o\n\t@cat $^ | sha256sum\n'
	printf '%%.o: %%.c\n\t@gcc -O2 -g0 -c $< -o $@\n'
} >build/Makefile
(
	for i in $(seq 50); do
		echo "alive $i"
		sleep 0.1
	done
) &
sum=$(make -s -C build -j2)
wait $!
echo "$sum"
