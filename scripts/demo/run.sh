#!/usr/bin/env bash
# Encodes and decodes a clip and shows the results. Usage: run.sh CLIP; results go to demo/.
set -euo pipefail

clip=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
latentbit=${CARGO_TARGET_DIR:-$root/target}/release/latentbit
out=demo

if [[ ! -f $clip ]]; then
  echo "demo: no such file: $clip" >&2
  exit 1
fi

# Shows a command as it would be typed, runs it, and keeps its report.
step() {
  local report=$1
  shift
  printf '\n$ latentbit'
  printf ' %q' "$@"
  printf '\n'
  "$latentbit" "$@" >"$out/$report"
}

mkdir -p "$out"
step encode.json encode "$clip" -o "$out/clip.lbit" -y --json
step decode.json decode "$out/clip.lbit" -o "$out/clip.mp4" -y --json
step eval.json eval "$clip" "$out/clip.lbit" --json

"$root/scripts/demo/side_by_side.sh" "$clip" "$out/clip.mp4" "$out/side-by-side.png"
echo
"$root/.venv/bin/python" "$root/scripts/demo/report.py" "$clip" "$out"
