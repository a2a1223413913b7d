#!/usr/bin/env bash
# Runs each fuzz target for a number of seconds (60 by default), seeded with the conformance files. Needs cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/../../fuzz"

seconds=${1:-60}
targets=(parse push roundtrip bits cm index recover info)
if (($# > 1)); then
  targets=("${@:2}")
fi

for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  seeds=(seeds/"$target")
  [[ -d ${seeds[0]} ]] || seeds=()
  case $target in
    parse | push | index | recover | info) seeds+=(../testdata/conformance/{subset,uncommon,faulty}) ;;
  esac
  # libFuzzer needs nightly's sanitizer flags, which a stable compiler accepts only this way.
  RUSTC_BOOTSTRAP=1 cargo fuzz run -s none "$target" "corpus/$target" "${seeds[@]}" -- \
    -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -print_final_stats=1
done
