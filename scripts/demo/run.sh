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

# Tells what comes, runs the rest of the line, and tells how long it took.
number=0
step() {
  local what=$1 begun=$SECONDS
  shift
  number=$((number + 1))
  printf '\n[%d/4] %s\n' "$number" "$what"
  "$@"
  printf '      done in %d s\n' $((SECONDS - begun))
}

# Shows a command as it would be typed, runs it, and keeps its report.
report() {
  local report=$1
  shift
  printf '      $ latentbit'
  printf ' %q' "$@"
  printf '\n'
  "$latentbit" "$@" >"$out/$report"
}

mkdir -p "$out"
step "video to tokens" report encode.json encode "$clip" -o "$out/clip.lbit" -y --json
step "tokens to video" report decode.json decode "$out/clip.lbit" -o "$out/clip.mp4" -y --json
step "compare the two, and the VAE without tokens" report eval.json eval "$clip" "$out/clip.lbit" --json
step "a picture of both, side by side" \
  "$root/scripts/demo/side_by_side.sh" "$clip" "$out/clip.mp4" "$out/side-by-side.png"

echo
"$root/.venv/bin/python" "$root/scripts/demo/report.py" "$clip" "$out"

# As it can be typed here and now; short where the command is installed.
name=$latentbit
if [[ $(command -v latentbit || true) ]]; then name=latentbit; fi
name=${name/#"$PWD/"/}
cat <<NEXT

The results are in $PWD/$out. What next:

  $name decode $out/clip.lbit -o $out/depths.mp4 --show-depth     # see where the bits are
  $name trim $out/clip.lbit -o $out/small.lbit --bits 12            # smaller, without encoding again
  make install PREFIX=~/.local                                    # the command, man pages, completions
NEXT
