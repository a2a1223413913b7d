#!/usr/bin/env bash
# Builds web/ and runs its tests. With --if-possible, where Node, its packages or Chromium cannot be installed, it says so
# and ends well.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ ${1:-} == --if-possible ]] && ! timeout 600 scripts/setup/web.sh; then
  echo "test-web: skipped, because what it needs cannot be installed here" >&2
  exit
fi
scripts/web/reader.sh
(cd web/reader && cargo test --quiet --locked -p latentbit-web-reader)
scripts/web/player.sh
cd web
# One file at a time: each of them starts a browser.
exec node --test --test-concurrency=1 reader/test/*.test.mjs player/test/*.test.mjs
