#!/usr/bin/env bash
# Makes .venv. Distributions forbid pip outside of a virtual environment (PEP 668).
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v python3 >/dev/null || scripts/setup/apt.sh python3 python3-venv

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "setup: Python 3.11 or newer is needed; python3 is $(python3 --version 2>&1)" >&2
  exit 1
fi

# Debian's python3 has no ensurepip until python3-venv is installed; other Pythons include it.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  scripts/setup/apt.sh python3-venv
fi

python3 -m venv .venv
