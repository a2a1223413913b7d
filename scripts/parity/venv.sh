#!/usr/bin/env bash
# Makes target/parity/venv: diffusers and what it needs, over the packages of .venv, so that PyTorch is there but once.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/parity/venv
mkdir -p target/parity
.venv/bin/python -m venv "$venv"
packages() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
packages .venv/bin/python >"$(packages "$venv/bin/python")/training.pth"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/parity/requirements.txt
