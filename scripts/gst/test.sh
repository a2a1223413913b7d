#!/usr/bin/env bash
# Tests the GStreamer elements: whole pipelines against the command, which must be in target/debug, then the plugin as
# programs load it.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath "${CARGO_TARGET_DIR:-target}")
export LATENTBIT=$target/debug/latentbit
cargo test --locked --manifest-path gst/Cargo.toml --target-dir "$target"
# Tests need the plugin, but only this gives it a name outside of target/debug/deps.
cargo build --quiet --locked --manifest-path gst/Cargo.toml --target-dir "$target"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plugins"
cp "$target/debug/libgstlatentbit.so" "$work/plugins/"
# A registry of its own: that of the user may know another build.
export GST_PLUGIN_PATH=$work/plugins GST_REGISTRY=$work/registry
export LC_ALL=C.UTF-8

says() {
  local wanted=$1 found=$2
  if ! grep -q -- "$wanted" <<<"$found"; then
    printf '%s\ntest-gst: expected "%s" in it\n' "$found" "$wanted" >&2
    exit 1
  fi
}

for element in lbitdemux lbitdec lbitenc; do
  says 'LatentBit' "$(gst-inspect-1.0 "$element")"
done

ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=25:duration=1 -f lavfi -i sine=440:duration=1 \
  -c:v libx264 -c:a libopus "$work/clip.mkv"
"$LATENTBIT" -q encode "$work/clip.mkv" -o "$work/clip.lbit"
gst-launch-1.0 -q filesrc location="$work/clip.lbit" ! lbitdemux ! lbitdec ! filesink location="$work/clip.rgb"
"$LATENTBIT" -q decode "$work/clip.lbit" --raw rgb24 -o "$work/command.rgb"
cmp "$work/clip.rgb" "$work/command.rgb"

typed=$(gst-typefind-1.0 "$work/clip.lbit")
says 'video/vnd.latentbit' "$typed"
# It ends with a failure where a decoder of the sound is missing, but says what it found.
facts=$(gst-discoverer-1.0 -t 120 -v "file://$work/clip.lbit" 2>&1 || true)
for wanted in 'Width: 96' 'Height: 64' 'Frame rate: 25/1' 'Duration: 0:00:01.0' 'audio/x-opus'; do
  says "$wanted" "$facts"
done
timeout 300 gst-play-1.0 --no-interactive --videosink=fakesink --audiosink=fakesink "$work/clip.lbit" >/dev/null
echo "test-gst: gst-launch-1.0, gst-typefind-1.0, gst-discoverer-1.0 and gst-play-1.0 read .lbit"
