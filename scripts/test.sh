#!/bin/bash
# Unit tests and system tests. The last line tells how many passed and failed.
# FILTER=Name runs only the tests whose names match; APUS=FILE tests another executable than the one built here.
set -u
cd "$(dirname "$0")/.." || exit 1
swift=${SWIFT:-swift}

if [ "$(id -u)" != 0 ]; then
	echo 'make test needs root: the system tests freeze, dump and restore real processes.' >&2
	echo 'Run it as root, or run the unit tests alone: swift test --skip SystemTests' >&2
	exit 1
fi

scripts/deps.sh || exit 1
if [ -z "${APUS:-}" ]; then
	make --no-print-directory build SWIFT="$swift" || exit 1
	APUS=$PWD/.build/apus
fi
make --no-print-directory subjects || exit 1
make --no-print-directory -C Tests/Fixtures install || exit 1
export APUS

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
timeout --kill-after=10 3600 "$swift" test ${FILTER:+--filter "$FILTER"} --xunit-output "$report/tests.xml" 2>&1 | tee "$report/log"
status=${PIPESTATUS[0]}

# What failed, once more: it stands far up among those that passed.
grep -a -A 12 'recorded an issue' "$report/log" | grep -av '^[◇✔]' | head -n 400

# One file by XCTest and one by Swift Testing. A test that records several failures has failed once.
sums=$(cat "$report"/*.xml 2>/dev/null | awk '
	/<testcase / { tests++; counted = 0 }
	/<skipped/ { tests-- }
	/<failure/ || /<error/ { if (!counted) failed++; counted = 1 }
	END { print tests + 0, failed + 0 }')
read -r tests failed <<<"$sums"
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; tests=$((tests + 1)); fi
if [ "$tests" = 0 ]; then echo 'no test was run' >&2; failed=1 tests=1; fi
echo "$((tests - failed)) passed, $failed failed"
[ "$failed" = 0 ]
