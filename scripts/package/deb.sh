#!/usr/bin/env bash
# Makes a Debian package of a command that was built: deb.sh [COMMAND]. Needs cargo-deb. Options for it come after COMMAND.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-$PWD/target}
command=${1:-$target/release/latentbit}
if ! cargo deb --version >/dev/null 2>&1; then
  echo "deb: cargo-deb is missing; install it: cargo install cargo-deb --locked" >&2
  exit 1
fi

# Exactly what `make install` puts there; cli/Cargo.toml names these files.
stage=$target/debian-root
rm -rf "$stage"
DESTDIR=$stage PREFIX=/usr scripts/package/install.sh install "$command" >/dev/null
install -D -m 644 -t "$stage/usr/share/latentbit" packaging/latentbit.magic

cargo deb --package latentbit --no-build --no-strip "${@:2}"
