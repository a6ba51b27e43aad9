#!/usr/bin/env bash
# Builds the libFuzzer executables in build/fuzz: build_fuzzers.sh SOURCE_DIR.
set -euo pipefail
root=$1
cd -- "$root"
. cmake/setup.sh
mkdir -p build
log=$root/build/fuzz.log
: >"$log"
build fuzz "$log" "$(nproc)" fuzzers
