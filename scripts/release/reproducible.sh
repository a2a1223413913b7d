#!/usr/bin/env bash
# Builds the last commit twice, in two folders of different names, and compares what comes out, byte for byte:
#   scripts/release/reproducible.sh [cargo build options]
# By default the command, as it is released. Both builds take as long as two builds from nothing, and their disk space.
set -euo pipefail
cd "$(dirname "$0")/../.."

options=("$@")
if ((${#options[@]} == 0)); then
  options=(--release -p latentbit)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# What compilers would write of the time.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

for folder in a another-one; do
  mkdir -p "$work/$folder"
  git archive HEAD | tar -x -C "$work/$folder"
  (
    cd "$work/$folder"
    # Paths are the same in both, and nobody's own.
    separator=$'\x1f'
    export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$PWD=/latentbit${separator}--remap-path-prefix=$cargo_home=/cargo"
    export CFLAGS="-ffile-prefix-map=$PWD=/latentbit -ffile-prefix-map=$cargo_home=/cargo"
    export CXXFLAGS=$CFLAGS CARGO_TARGET_DIR=$PWD/target CARGO_INCREMENTAL=0
    cargo build --quiet --locked "${options[@]}"
    find target -maxdepth 3 -type f -perm -u+x ! -name 'build-script-*' ! -path '*/build/*' ! -path '*/deps/*' \
      -exec sha256sum {} + | sort -k 2
  ) >"$work/$folder.sums"
done

if [[ ! -s $work/a.sums ]]; then
  echo "reproducible: no program was built" >&2
  exit 1
fi
cat "$work/a.sums"
if ! diff "$work/a.sums" "$work/another-one.sums"; then
  echo "reproducible: the two builds differ" >&2
  exit 1
fi
# A path of this machine in a program would be another one elsewhere.
while read -r _ program; do
  for path in "$work" "$cargo_home"; do
    if grep -qF -- "$path" "$work/a/$program"; then
      echo "reproducible: $program holds the path $path" >&2
      exit 1
    fi
  done
done <"$work/a.sums"
echo "reproducible: both builds are the same"
