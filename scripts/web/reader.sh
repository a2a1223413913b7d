#!/usr/bin/env bash
# Builds the npm package web/reader: WebAssembly, its JavaScript, and the TypeScript above them.
set -euo pipefail
cd "$(dirname "$0")/../../web/reader"

../../scripts/web/wasm.sh build --quiet --release --locked -p latentbit-web-reader
cargo run --quiet --locked -p bindgen -- "${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release/latentbit_web_reader.wasm" pkg
../node_modules/.bin/tsc
