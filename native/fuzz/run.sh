#!/usr/bin/env bash
# Builds the fuzz targets with clang's libFuzzer, ASan and UBSan, and runs each a fixed number of times
# on the seeds of test/hostile. Usage: native/fuzz/run.sh [runs=200000] [work folder=build/fuzz]
# Says so and succeeds where there is no clang++.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
runs=${1:-200000}
work=${2:-$root/build/fuzz}
clang=${FUZZ_CXX:-clang++}

if ! command -v "$clang" >/dev/null; then
  echo "fuzz: skipped, there is no $clang (apt-get install clang)"
  exit 0
fi
mkdir -p "$work"
simdjson=$root/node_modules/@nozbe/simdjson/src
flags=(-std=c++20 -O1 -g "-fsanitize=fuzzer,address,undefined" -fno-sanitize-recover=all
  -I"$root/native" -isystem "$simdjson")
(cd "$root" && npx ts-node --transpile-only test/hostile/write-all.ts "$work/seeds")

for target in safetensors gguf; do
  "$clang" "${flags[@]}" "$root/native/fuzz/${target}_fuzz.cpp" "$root"/native/formats/*.cpp \
    "$simdjson/simdjson.cpp" -o "$work/${target}_fuzz"
  mkdir -p "$work/corpus/$target"
  # -rss_limit_mb and -malloc_limit_mb catch a length that is believed before it is checked.
  "$work/${target}_fuzz" -runs="$runs" -seed=1 -max_len=4096 -rss_limit_mb=1024 \
    -malloc_limit_mb=64 -print_final_stats=0 -artifact_prefix="$work/$target-" \
    "$work/corpus/$target" "$work/seeds/$target"
  echo "fuzz: $target passed, $runs runs"
done
