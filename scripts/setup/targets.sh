#!/usr/bin/env bash
# Checks that the container compiles for other targets, as plain Rust, and reports targets that cannot be checked here.
set -euo pipefail

for target in "$@"; do
  if ! [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; then
    if ! { command -v rustup >/dev/null && rustup --quiet target add "$target"; }; then
      echo "check-targets: no standard library for $target here; skipped" >&2
      continue
    fi
  fi
  cargo check --locked --quiet -p latentbit-container --no-default-features --features ruzstd --target "$target"
  echo "check-targets: $target compiles"
done
