#!/usr/bin/env bash
# Installs what the tests of packaging/ ask about a file: file(1) and the tools of the database of media types.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v file >/dev/null || missing+=(file)
command -v update-mime-database >/dev/null || missing+=(shared-mime-info)

if ((${#missing[@]})); then
  ./apt.sh "${missing[@]}"
fi
