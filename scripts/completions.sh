#!/bin/sh
# Writes the completion scripts of the shells anew, from a built apus: scripts/completions.sh [APUS].
set -eu
cd "$(dirname "$0")/.."
apus=${1:-.build/debug/apus}
mkdir -p completions
"$apus" --generate-completion-script bash >completions/apus.bash
"$apus" --generate-completion-script zsh >completions/_apus
"$apus" --generate-completion-script fish >completions/apus.fish
