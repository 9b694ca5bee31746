# For scripts that have several parts, each of which passes or fails. A script that reads this file says in PARTS_LOG where
# what a part prints is kept.
passed=0 failed=0

# One part of the whole: what it is, and the function that does it.
part() {
	local words=$1 status
	shift
	# In the condition of an if, set -e would mean nothing.
	(set -eu; "$@") >"$PARTS_LOG" 2>&1
	status=$?
	if [ $status = 0 ]; then
		passed=$((passed + 1)) && echo "passed: $words"
	else
		failed=$((failed + 1)) && echo "FAILED: $words" && tail -n 40 "$PARTS_LOG" | sed 's/^/    /'
	fi
}
fail() { echo "$*"; exit 1; }

# The last line of every such script.
report_parts() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
