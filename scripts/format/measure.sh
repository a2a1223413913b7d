#!/usr/bin/env bash
# Sizes, speeds and overhead of the format on real clips and photos: the tables of docs/format.md.
# VAL holds `videos/` and `images/`; clips are scaled and cropped to 128x128 and 256x256 and cut after 61 frames.
set -euo pipefail

if (($# < 1)); then
  echo "usage: scripts/format/measure.sh VAL [FOLDER]" >&2
  exit 2
fi
val=$1
work=${2:-runs/format}

cargo build --release --locked --quiet -p latentbit
cargo build --release --locked --quiet -p latentbit-container --example coders
mkdir -p "$work"/{128,256,photos}

for size in 128 256; do
  for clip in "$val"/videos/*; do
    out=$work/$size/$(basename "$clip").lbit
    [[ -e $out ]] && continue
    box="scale=$size:$size:force_original_aspect_ratio=increase,crop=$size:$size"
    ffmpeg -v error -i "$clip" -vf "$box" -frames:v 61 -f yuv4mpegpipe -strict -1 - |
      target/release/latentbit encode - -o "$out" --quiet --coder raw --bits 36
  done
done
for photo in $(find "$val"/images -type f | sort | head -n 30); do
  out=$work/photos/$(basename "$photo").lbit
  [[ -e $out ]] || target/release/latentbit encode "$photo" -o "$out" --quiet --coder raw --bits 36
done

for kind in 128 256 photos; do
  echo "## $kind"
  target/release/examples/coders "$work/$kind"/*.lbit
  echo
done
