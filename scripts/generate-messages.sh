#!/bin/sh
# Regenerates Sources/ImageMessages/Generated from schema/*.proto. Run it after a change to the schema, and commit
# both. Needs protoc (Debian: protobuf-compiler); the Swift plugin is built from the very version of SwiftProtobuf
# that the package is pinned to, so that generated code and library always fit.
# The plugin is built outside of the working tree: set PLUGIN_BUILD to keep it between runs.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${PLUGIN_BUILD:-$(mktemp -d)}
output=$root/Sources/ImageMessages/Generated

[ -d "$root/.build/checkouts/swift-protobuf" ] || swift package --package-path "$root" resolve
swift build --package-path "$root/.build/checkouts/swift-protobuf" --scratch-path "$build" \
    --configuration release --product protoc-gen-swift

rm -rf "$output"
mkdir -p "$output"
protoc --plugin=protoc-gen-swift="$build/release/protoc-gen-swift" --proto_path="$root/schema" \
    --swift_opt=Visibility=Public --swift_opt=UseAccessLevelOnImports=true --swift_out="$output" \
    "$root"/schema/*.proto
[ -n "${PLUGIN_BUILD:-}" ] || rm -rf "$build"
