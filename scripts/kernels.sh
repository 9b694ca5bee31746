#!/bin/bash
# Prints the folder in which scripts/deps-vm.sh keeps the kernels for virtual machines.
set -eu
if [ -n "${APUS_KERNELS:-}" ]; then
	echo "$APUS_KERNELS"
	exit
fi
shared=${APUS_HOSTS:-/var/cache/apus-hosts}
if mkdir -p "$shared/kernels" 2>/dev/null && [ -w "$shared/kernels" ]; then
	echo "$shared/kernels"
else
	echo "$(cd "$(dirname "$0")/.." && pwd)/.build/vm"
fi
