#!/usr/bin/env bash
# Builds the program by g++ and clang++, each at -O0 and -O3, and has all four lower and run the
# regression traces: the same traces and numbers, to the last digit. same_cycles.sh SOURCE_DIR
# [FOLDER], where the builds go; minutes, so a nightly test.
set -euo pipefail
source_dir=$1 folder=${2:-$1/build/compilers}
. "$source_dir/tests/install/checks.sh"
export TESSERA_DATA=$source_dir

first=
for compiler in g++ clang++; do
  for level in -O0 -O3; do
    build=$folder/$compiler$level
    cmake -S "$source_dir" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
      -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$level" -DTESSERA_TESTS=OFF >"$scratch/log" 2>&1
    if ! cmake --build "$build" --target tessera >"$scratch/log" 2>&1; then
      tail -n 20 "$scratch/log"
      check "$compiler $level builds" yes no
      continue
    fi
    # Every mapper decision and every number of every trace.
    mkdir -p "$scratch/$compiler$level"
    cp "$source_dir"/traces/regression/{generate,workloads.txt} "$scratch/$compiler$level"
    "$scratch/$compiler$level/generate" "$build/sim/tessera" >"$scratch/log"
    rm "$scratch/$compiler$level"/{generate,workloads.txt}
    contains "$compiler $level runs the traces" 'agrees with this now' "$(tail -n 1 "$scratch/log")"
    if [[ -z $first ]]; then
      first=$compiler$level
    else
      check "$compiler $level says what $first says" '' \
        "$(diff -r "$scratch/$first" "$scratch/$compiler$level" 2>&1 | head -n 20)"
    fi
  done
done
finish
