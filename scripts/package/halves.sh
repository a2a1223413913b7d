#!/usr/bin/env bash
# Writes the two halves of the built-in bundle to where `cargo package` and `cargo publish` take them from; git ignores
# them. With --clean, removes them.
set -euo pipefail
cd "$(dirname "$0")/../../models"

case "${1-}" in
  --clean) rm -f default.part tail/default.part; exit ;;
  '') ;;
  *) echo "usage: scripts/package/halves.sh [--clean]" >&2; exit 2 ;;
esac

# As models/build.rs cuts it.
half=$(($(stat -Lc %s default.safetensors) / 2))
head -c "$half" default.safetensors >default.part
tail -c "+$((half + 1))" default.safetensors >tail/default.part
