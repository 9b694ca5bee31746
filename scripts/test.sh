#!/bin/bash
# Unit tests and system tests. The last line tells how many passed and failed.
# FILTER=Name runs only the tests whose names match; APUS=FILE tests another executable than the one built here.
# LANES=N suites run at a time (default: one for each processor), LIMIT=S seconds is the longest that one may take.
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
"$swift" build --build-tests || exit 1
tests=$PWD/.build/debug/apusPackageTests.xctest
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
export APUS tests report LIMIT=${LIMIT:-1200}

# Each suite of the system tests, and each other target, is a process of its own, in which one test follows the other: a suite
# that hangs or crashes fails alone, and what it said stands together.
"$tests" --testing-library swift-testing --list-tests >"$report/list" || exit 1
names=$(sed -En -e 's,^(SystemTests\.[^/]*)/.*,\1,p' -e 't' -e 's,^([A-Za-z]+Tests)\..*,\1,p' "$report/list" | sort -u)
# Those that take longest begin, so that none of them is left over in the end.
slow='ThreeRounds|KillAtEveryStep|RealPrograms|BrokenMigration|MigratingPrograms|TCPServers|RunTests|CriuInterop|Fuzz'
names=$(grep -E "$slow" <<<"$names"; grep -vE "$slow" <<<"$names")
[ -z "${FILTER:-}" ] || names=all

run_suite() {
	local name=$1 began=$SECONDS status filter=${FILTER:-^${1/./\\.}[./]}
	timeout --kill-after=10 "$LIMIT" "$tests" --testing-library swift-testing --no-parallel --filter "$filter" \
		--xunit-output "$report/$name.xml" </dev/null >"$report/$name.log" 2>&1
	status=$?
	local ran failed
	read -r ran failed < <(scripts/test-counts.sh "$report/$name.xml")
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1 ran=$((ran + 1)); fi
	echo "$((ran - failed)) $failed" >"$report/$name.sum"
	if [ "$failed" = 0 ]; then
		echo "ok      $name: $ran tests in $((SECONDS - began)) s"
	else
		echo "FAILED  $name: $failed of $ran tests in $((SECONDS - began)) s (exit status $status)"
	fi
}
export -f run_suite
xargs -d '\n' -P "${LANES:-$(nproc)}" -I{} bash -c 'run_suite "$1"' - {} <<<"$names"
lanes=$?

# What failed, and of a suite that did not come to its end the last that it said.
for sum in "$report"/*.sum; do
	read -r passed failed <"$sum"
	[ "$failed" = 0 ] && continue
	log=${sum%.sum}.log
	echo "== $(basename "${log%.log}")"
	grep -a -A 12 'recorded an issue' "$log" | grep -av '^[◇✔]' | head -n 200
	grep -aq 'recorded an issue' "$log" || tail -n 40 "$log"
done
read -r passed failed < <(cat "$report"/*.sum 2>/dev/null | awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
begun=$(find "$report" -name '*.sum' | wc -l)
if [ "$lanes" != 0 ] || [ "$begun" != "$(wc -l <<<"$names")" ]; then
	echo "only $begun of $(wc -l <<<"$names") suites were run" >&2
	failed=$((failed + 1))
fi
if [ "$((passed + failed))" = 0 ]; then echo 'no test was run' >&2; failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
