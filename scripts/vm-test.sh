#!/bin/bash
# Runs system tests that are already built in a virtual machine with another kernel: vm-test.sh [OPTION of vm.sh ...]
# FILTER=Suite chooses them, APUS=FILE is the program (default: the one that make build has made), PATIENCE=N makes every
# limit of time that the tests have N times as long.
set -u
cd "$(dirname "$0")/.." || exit 1

# One suite after the other, each in a machine of its own: a kernel that one of them has brought down is none to the next.
suites=${FILTER:-KernelMemoryTests PageLookTests WriteTrackerTests SubjectsThemselves ThreeRounds CriuInterop FailingDump}
tests=.build/debug/apusPackageTests.xctest
export APUS=${APUS:-$PWD/.build/apus}
for needed in "$APUS" "$tests"; do
	[ -x "$needed" ] || { echo "there is no $needed yet: make build, swift build --build-tests" >&2; exit 1; }
done
make --no-print-directory subjects || exit 1

status=0
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
passed=0 failed=0
for suite in $suites; do
	echo "== $suite"
	scripts/vm.sh --timeout "${TIMEOUT:-3000}" "$@" --env APUS_TEST_PATIENCE="${PATIENCE:-10}" --share "$report" -- \
		"$tests" --testing-library swift-testing --no-parallel --filter "$suite" --xunit-output "$report/$suite.xml" || status=1
	read -r ran bad < <(scripts/test-counts.sh "$report/$suite.xml")
	passed=$((passed + ran - bad)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$status" = 0 ]
