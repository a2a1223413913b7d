#!/usr/bin/env bash
# Installs Node's packages of web/, and Chromium for their tests. With --check it installs nothing, and says what is
# missing: for `make test`, which goes without them.
set -euo pipefail
cd "$(dirname "$0")/../../web"

missing=()
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
  command -v google-chrome >/dev/null || [[ -n ${CHROMIUM:-} ]] || missing+=(chromium)

if [[ ${1:-} == --check ]]; then
  ((${#missing[@]} == 0)) || { echo "web: ${missing[*]} missing" >&2; exit 1; }
  exit
fi
if ((${#missing[@]})); then
  # Debian's npm brings Node with it.
  ../scripts/setup/apt.sh "${missing[@]}"
fi
if ! [[ node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci --no-audit --no-fund --ignore-scripts
  touch node_modules/.package-lock.json
fi
