#!/usr/bin/env bash
# Compares `decode --start` near the end of a long file with decoding the same part cut out. Prints seconds and the largest
# resident memory of each of 5 runs, which take turns, and the ratios of their medians.
#
# scripts/bench/seek.sh [CLIPS]    CLIPS clips of 20 seconds make the file; 180, an hour, by default
set -euo pipefail
cd "$(dirname "$0")/../.."

clips=${1:-180}
latentbit=${CARGO_TARGET_DIR:-target}/release/latentbit
latentbit=$(realpath "$latentbit")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

ffmpeg -v error -f lavfi -i testsrc2=size=128x128:rate=25:duration=20 -f lavfi -i sine=frequency=440:duration=20 \
  -c:v mpeg4 -q:v 3 -c:a aac clip.mp4
"$latentbit" encode clip.mp4 -o clip.lbit --quiet
inputs=()
for ((n = 0; n < clips; n++)); do inputs+=(clip.lbit); done
"$latentbit" concat "${inputs[@]}" -o hour.lbit
end=$((clips * 20))
start=$((end - 10))
"$latentbit" cut hour.lbit -o part.lbit --from "$start" --to "$end"

measure() {
  local name=$1
  shift
  /usr/bin/time -a -o "$name.txt" -f '%e %M' "$latentbit" decode "$@" -o out.y4m -y --quiet
}
for _ in 1 2 3 4 5; do
  measure seek hour.lbit --start "$start"
  measure cut part.lbit
done

median() {
  cut -d' ' -f"$2" "$1.txt" | sort -n | sed -n 3p
}
for name in seek cut; do
  echo "$name: $(tr '\n' ';' <"$name.txt" | sed 's/;$//; s/;/; /g') (seconds, KB)"
done
awk -v a="$(median seek 1)" -v b="$(median cut 1)" -v c="$(median seek 2)" -v d="$(median cut 2)" \
  'BEGIN { printf "time %.2f x, memory %.2f x\n", a / b, c / d }'
