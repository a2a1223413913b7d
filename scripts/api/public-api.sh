#!/usr/bin/env bash
# Compares the public items of the library crates with the committed lists, CRATE/public-api.txt: a change of the interface
# shows as a difference in review. With --write, writes the lists anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

write=false
case "${1-}" in
  --write) write=true ;;
  '') ;;
  *) echo "usage: scripts/api/public-api.sh [--write]" >&2; exit 2 ;;
esac

# Stable Rust writes rustdoc's JSON only with RUSTC_BOOTSTRAP. That rebuilds all crates, hence a target folder of its own.
export CARGO_TARGET_DIR=target/public-api
changed=0
for crate in container codec media; do
  features=--no-default-features
  [ "$crate" = container ] && features=--all-features
  RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet --locked --lib -p "latentbit-$crate" "$features" -- \
    -Z unstable-options --output-format json --cap-lints allow
  found=$(cargo public-api -sss --rustdoc-json "$CARGO_TARGET_DIR/doc/latentbit_$crate.json")
  if $write; then
    printf '%s\n' "$found" >"$crate/public-api.txt"
  elif ! diff -u "$crate/public-api.txt" - <<<"$found"; then
    changed=1
  fi
done
if [ "$changed" != 0 ]; then
  echo "The public interface differs from the lists. If that is meant: scripts/api/public-api.sh --write, and CHANGELOG.md." >&2
  exit 1
fi
