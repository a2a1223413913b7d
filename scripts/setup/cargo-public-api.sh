#!/usr/bin/env bash
# Installs cargo-public-api if it is missing. It reads rustdoc's JSON, whose form belongs to a version of Rust: 0.52.0, with
# its own lock file, reads form 57 of Rust 1.95. It is built from source, which takes a few minutes.
set -euo pipefail

cargo public-api --version >/dev/null 2>&1 || cargo install cargo-public-api --locked --version '=0.52.0'
