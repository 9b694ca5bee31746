# make -j4 of a small project in C: headers that are generated, a library, two programs, and what they print when they
# run. What was built has to be the same to the byte.
rm -rf project
mkdir -p project/src project/include
cd project || exit 1
for n in $(seq 12); do
	{
		echo '#include "table.h"'
		echo '#include "parts.h"'
		for i in $(seq 120); do
			echo "static long step_${n}_$i(long a) { for (int i = 0; i < 40; i++) a = a * $((n + 2)) + table[(a >> $((i % 9))) & 63] % ($i + i);" \
				"return a & 0xffffff; }"
		done
		printf 'long part%d(long a)\n{\n' "$n"
		for i in $(seq 120); do echo "	a = step_${n}_$i(a);"; done
		printf '	return a;\n}\n'
	} >src/part$n.c
	echo "long part$n(long a);" >>include/parts.h
done
for name in first second; do
	{
		printf '#include <stdio.h>\n#include "parts.h"\nint main(void)\n{\n	long a = %d;\n' ${#name}
		for n in $(seq 12); do echo "	a = part$n(a);"; done
		printf '	printf("%s says %%ld\\n", a);\n	return 0;\n}\n' "$name"
	} >src/$name.c
done
cat >Makefile <<'END'
PARTS = $(patsubst %,build/part%.o,1 2 3 4 5 6 7 8 9 10 11 12)
.DELETE_ON_ERROR:
all: build/first build/second
	@for name in first second; do ./build/$$name; done
	@cat $(PARTS) build/first build/second | sha256sum
include/table.h: Makefile
	@{ echo 'static const long table[64] = {'; for i in $$(seq 64); do echo "$$((i * i * 37 % 101)),"; done; echo '};'; } >$@
build/%.o: src/%.c include/table.h include/parts.h
	@mkdir -p build
	@$(CC) -O2 -g0 -Iinclude -c $< -o $@
	@echo "built $@" >>build/log
build/libparts.a: $(PARTS)
	@ar rcsD $@ $^
build/first build/second: build/%: build/%.o build/libparts.a
	@$(CC) -o $@ $^
END
# In the background, so that there is something to be told meanwhile: how far it has come differs each time.
make -s -j4 >result 2>&1 &
for i in $(seq 60); do
	echo "alive $i"
	sleep 0.1
done
wait $!
echo "make: $?"
cat result
sort build/log
