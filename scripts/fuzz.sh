#!/bin/bash
# make fuzz: damaged inputs for whatever reads what nobody has checked. SEED=1, N= inputs for each target or DURATION= seconds
# for all, TARGETS='images proc ...'. What does harm is saved in .build/fuzz/findings.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
export APUS=${APUS:-$PWD/.build/apus}
# Apart from the other builds, whose settings differ.
"$swift" build -c release --scratch-path .build/fuzz --product Fuzzer
corpus=.build/fuzz/corpus
# The same for every run, so that a seed stands for the same inputs: remove it to have it made anew.
[ -d "$corpus" ] || scripts/fuzz-corpus.sh "$corpus"
# shellcheck disable=SC2086
exec "$(readlink -f .build/fuzz/release)/Fuzzer" run ${TARGETS:-} --seed "${SEED:-1}" ${N:+--iterations "$N"} \
	${DURATION:+--duration "$DURATION"} --corpus "$PWD/Tests/Fixtures/criu-4.2" --corpus "$PWD/$corpus" \
	--save "$PWD/.build/fuzz/findings" --verbose
