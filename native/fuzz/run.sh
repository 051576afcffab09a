#!/usr/bin/env bash
# Builds the fuzz targets, readers of files and of what the addon takes from JavaScript, with clang's
# libFuzzer, ASan and UBSan, and runs each a fixed number of times on the seeds of test/hostile. Usage: native/fuzz/run.sh [runs=200000] [work folder=.build/fuzz]
# Says so and succeeds where there is no clang++.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
runs=${1:-200000}
work=${2:-$root/.build/fuzz}
clang=${FUZZ_CXX:-clang++}

if ! command -v "$clang" >/dev/null; then
  echo "fuzz: skipped, there is no $clang (apt-get install clang)"
  exit 0
fi
mkdir -p "$work"
simdjson=$root/node_modules/@nozbe/simdjson/src
flags=(-std=c++20 -O1 -g "-fsanitize=address,undefined" -fno-sanitize-recover=all
  -I"$root/native" -isystem "$simdjson")
(cd "$root" && npx ts-node --transpile-only test/hostile/write-all.ts "$work/seeds")
# One kind of vector kernels of three.
few=(-DSIMDJSON_IMPLEMENTATION_ICELAKE=0 -DSIMDJSON_IMPLEMENTATION_HASWELL=0)
"$clang" "${flags[@]}" "${few[@]}" -fsanitize=fuzzer-no-link -c "$simdjson/simdjson.cpp" -o "$work/simdjson.o"

# fuzz TARGET SOURCE…: one of them, of these files; in native/.
fuzz() {
  local target=$1 log=$work/$1.log
  shift
  "$clang" "${flags[@]}" -fsanitize=fuzzer "fuzz/${target}_fuzz.cpp" "$@" "$work/simdjson.o" \
    -o "$work/${target}_fuzz"
  mkdir -p "$work/corpus/$target"
  # -malloc_limit_mb catches a length that is believed before it is checked.
  if ! "$work/${target}_fuzz" -runs="$runs" -seed=1 -max_len=4096 -rss_limit_mb=1024 \
    -malloc_limit_mb=64 -artifact_prefix="$work/$target-" \
    "$work/corpus/$target" "$work/seeds/$target" >"$log" 2>&1; then
    tail -40 "$log"
    echo "fuzz: $target failed, see $log"
    return 1
  fi
  echo "fuzz: $target passed, $runs runs"
}

# Beside each other; `wait` for each by itself, so that the first failure counts too.
running=()
cd "$root/native"
fuzz safetensors formats/*.cpp &
running+=($!)
fuzz gguf formats/*.cpp &
running+=($!)
fuzz specs addon/plain.cpp addon/decode.cpp model/sublayer.cpp core/dtype.cpp core/mapped_file.cpp \
  core/os/posix/file.cpp &
running+=($!)
status=0
for each in "${running[@]}"; do wait "$each" || status=1; done
exit $status
