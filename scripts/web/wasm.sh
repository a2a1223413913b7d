#!/usr/bin/env bash
# Runs cargo for WebAssembly: wasm.sh SUBCOMMAND [OPTIONS]. With rustup's target where it can be had; else with Debian's
# compiler, which brings the sources of the standard library.
set -euo pipefail

target=wasm32-unknown-unknown

if [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]] ||
  { command -v rustup >/dev/null && rustup --quiet target add "$target" 2>/dev/null; }; then
  exec cargo "$@" --target "$target"
fi

if ! [[ -x /usr/bin/cargo && -d /usr/lib/rustlib/src/rust/library ]]; then
  echo "web: no $target in this Rust and no rustup to add it; trying Debian's rustc-web" >&2
  "$(dirname "$0")/../setup/apt.sh" rustc-web cargo-web rust-web-src lld
fi
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
exec /usr/bin/cargo "$@" -Z build-std=std,panic_abort --target "$target"
