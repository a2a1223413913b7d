#!/usr/bin/env bash
# Installs the named Debian packages, or lists them if there is no apt-get.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
  echo "setup: this system has no apt-get; install the contents of these Debian packages, then try again:" >&2
  echo "  $*" >&2
  exit 1
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: neither root nor sudo; run this as root:" >&2
    echo "  apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "setup: installing $*"
# Errors go to stderr; the hundreds of lines on stdout help nobody.
"${as_root[@]}" apt-get update -qq >/dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
