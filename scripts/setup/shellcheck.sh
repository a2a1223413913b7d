#!/usr/bin/env bash
# Installs shellcheck if it is missing.
set -euo pipefail

command -v shellcheck >/dev/null || "$(dirname "$0")/apt.sh" shellcheck
