#!/usr/bin/env bash
# Installs cargo-deny if it is missing. It is built from source, which takes a few minutes.
set -euo pipefail

cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --version '^0.20'
