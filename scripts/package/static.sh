#!/usr/bin/env bash
# Builds the command without libav and without any shared library: target/TARGET/release/latentbit runs on every Linux of this
# kind of machine. With rustup's target for musl, or where that cannot be had with glibc's static libraries. Options for cargo
# come after it (--profile dev).
set -euo pipefail
cd "$(dirname "$0")/../.."

options=("$@")
((${#options[@]})) || options=(--release)
machine=$(uname -m)
target=$machine-unknown-linux-musl
if [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]] || rustup --quiet target add "$target" 2>/dev/null; then
  command -v musl-gcc >/dev/null || scripts/setup/apt.sh musl-tools
else
  target=$machine-unknown-linux-gnu
  echo "static: rustup has no $machine-unknown-linux-musl here; glibc's static libraries instead" >&2
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
fi
cargo build "${options[@]}" --locked -p latentbit --no-default-features --target "$target"

folder=${CARGO_TARGET_DIR:-target}/$target
built=$(find "$folder" -maxdepth 2 -name latentbit -type f -printf '%T@ %p\n' | sort -n | tail -1 | cut -d ' ' -f 2-)
# What ldd says of a file without libraries, it says in one of two ways.
libraries=$(ldd "$built" 2>&1 || true)
case $libraries in
  *'statically linked'* | *'not a dynamic executable'*) ;;
  *) echo "static: $built still needs libraries: $libraries" >&2; exit 1 ;;
esac
"$built" --version >/dev/null
echo "static: $built needs no library"
