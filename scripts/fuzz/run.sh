#!/usr/bin/env bash
# Runs each fuzz target for a number of seconds (60 by default), seeded with the conformance files and with what earlier runs
# kept. KEEP=1 then keeps few inputs that reach what was reached, in seeds/: 2 MB at most, of all targets together, and a
# sample of 300 inputs of a target that has more.
set -euo pipefail
cd "$(dirname "$0")/../../fuzz"

seconds=${1:-60}
all=(parse push roundtrip bits cm index recover info pickle checkpoint safetensors y4m still ebml sidecar list)
targets=("${all[@]}")
if (($# > 1)); then
  targets=("${@:2}")
fi
room=$((1900000 / ${#all[@]}))

# As cargo-fuzz builds without a sanitizer: counters of what runs, and all checks. A target for the flags, so that they leave
# build scripts and macros alone.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Cllvm-args=-simplifycfg-branch-fold-threshold=0"
cargo build --release --locked --target "$host" "${targets[@]/#/--bin=}"
built="${CARGO_TARGET_DIR:-target}/$host/release"

for target in "${targets[@]}"; do
  seeds=()
  [[ ! -d seeds/$target ]] || seeds+=("seeds/$target")
  case $target in
    parse | push | index | recover | info) seeds+=(../testdata/conformance/{subset,uncommon,faulty}) ;;
    safetensors) seeds+=(../testdata/golden) ;;
  esac
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "== $target"
  "$built/$target" "corpus/$target" "${seeds[@]}" -artifact_prefix="artifacts/$target/" \
    -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -print_final_stats=1
  if [[ -n ${KEEP:-} ]]; then
    mkdir -p "seeds/$target" "corpus/$target.kept"
    "$built/$target" -set_cover_merge=1 -max_len=8192 "corpus/$target.kept" "corpus/$target" "${seeds[@]}"
    # What a fuzzer found has a hash for a name; what has another one is there for a reason of its own.
    found='.*/[0-9a-f]{40}'
    find "seeds/$target" -regextype posix-extended -regex "$found" -delete
    # What is in the tree need not be there twice.
    find "${seeds[@]}" -regextype posix-extended -type f ! -regex "$found" -exec sha1sum {} + | cut -c 1-40 \
      | (cd "corpus/$target.kept" && xargs -r rm -f)
    # Names are hashes, so their order is by chance.
    find "corpus/$target.kept" -type f -printf '%s %p\n' | sort -k 2 \
      | awk -v room="$room" 'NR <= 300 && (sum += $1) <= room { print $2 }' | xargs -r cp -t "seeds/$target"
    rm -r "corpus/$target.kept"
  fi
done
