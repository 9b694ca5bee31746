#!/bin/bash
# How many tests a report of a test run (FILE, in the format of JUnit) has, and how many of them failed; nothing is 0 0. A test that
# records several failures has failed once, and one that was skipped was none.
awk '
	/<testcase / { tests++; counted = 0 }
	/<skipped/ { tests-- }
	/<failure/ || /<error/ { if (!counted) failed++; counted = 1 }
	END { print tests + 0, failed + 0 }' "$1" 2>/dev/null || echo 0 0
