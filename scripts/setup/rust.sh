#!/usr/bin/env bash
# Checks for Rust and adds missing components.
set -euo pipefail

if ! command -v cargo >/dev/null; then
  echo "setup: cargo is missing; install Rust 1.95 or newer first (rustup is the usual way)" >&2
  exit 1
fi

missing=()
cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)

if ((${#missing[@]})); then
  if ! command -v rustup >/dev/null; then
    echo "setup: this Rust lacks ${missing[*]}, and there is no rustup to add it" >&2
    exit 1
  fi
  rustup component add "${missing[@]}"
fi
