#!/bin/bash
# bench.sh APUS: how long start-up, dump and restore take. RUNS=N, by default 50. Needs root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" != 0 ]; then
	echo 'The benchmarks dump and restore processes, which needs root.' >&2
	exit 1
fi
program=$(mktemp)
trap 'rm -f "$program"' EXIT
gcc -O2 -std=gnu11 -Wall -Wextra -Werror -o "$program" "$here/bench.c"
echo "$("$1" --version 2>/dev/null | head -n 1), Linux $(uname -r), $(nproc) processors, medians of ${RUNS:-50} runs"
"$program" "$1" "$here/../Tests/Subjects/build/ballast" "${RUNS:-50}"
