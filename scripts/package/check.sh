#!/usr/bin/env bash
# Packages the crates as they would be published, prints their sizes, checks what must be in each, and installs the command
# from the packages alone, to encode and decode a clip with the model that is built in.
#
# Arguments go to `cargo package` and `cargo install`: --offline, for example.
set -euo pipefail
cd "$(dirname "$0")/../.."

# What crates.io takes.
most=$((10 * 1024 * 1024))
target=${CARGO_TARGET_DIR:-$PWD/target}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "package: $*" >&2
  exit 1
}

rm -f "$target"/package/latentbit*.crate
# Installing builds every crate from its package, which is what --no-verify leaves out.
cargo package --workspace --exclude latentbit-python --exclude latentbit-capi --no-verify --allow-dirty --locked "$@"

for crate in "$target"/package/latentbit*.crate; do
  name=$(basename "$crate")
  size=$(stat -c %s "$crate")
  printf '%-42s %9d bytes\n' "$name" "$size"
  ((size <= most)) || fail "$name: more than $most bytes, which crates.io does not take"
  tar -xzf "$crate" -C "$work"
  for file in LICENSE-MIT LICENSE-APACHE README.md; do
    [[ -s $work/${name%.crate}/$file ]] || fail "$name: no $file in it"
  done
done

patches=()
for folder in "$work"/latentbit-*/; do
  name=$(basename "$folder")
  name=${name%-[0-9]*}
  # The command depends on the others and nothing on it.
  [[ $name == latentbit ]] || patches+=(--config "patch.crates-io.$name.path=\"${folder%/}\"")
done
# From outside of the checkout, so that neither its workspace nor its configuration helps.
(cd "$work" && CARGO_TARGET_DIR="$target/package/install" cargo install --root "$work/root" \
  --path "$work"/latentbit-[0-9]* "${patches[@]}" "$@")

# Without the checkout's models, and without those that the user keeps.
export XDG_CACHE_HOME="$work/cache" XDG_DATA_HOME="$work/data"
command=$work/root/bin/latentbit
ffmpeg -v error -f lavfi -i testsrc2=size=128x128:rate=25:duration=1 -c:v mpeg4 "$work/clip.mp4"
"$command" encode "$work/clip.mp4" -o "$work/clip.lbit"
"$command" decode "$work/clip.lbit" -o "$work/clip.y4m"
wanted=$(sha256sum models/default.safetensors | cut -d' ' -f1)
"$command" info "$work/clip.lbit" | grep -q "${wanted:0:16}" || fail "the built-in model is not models/default.safetensors"
echo "The command from the packages encodes and decodes with its built-in model."
