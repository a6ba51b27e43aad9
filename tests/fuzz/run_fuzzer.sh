#!/usr/bin/env bash
# Fuzzes one parser for some seconds: run_fuzzer.sh SOURCE_DIR NAME SECONDS. The corpus of the tree
# comes first; what is new goes to build/fuzz/found/NAME, a finding to build/fuzz/findings.
set -euo pipefail
source_dir=$1 name=$2 seconds=$3
build=$source_dir/build/fuzz
mkdir -p "$build/found/$name" "$build/findings"
# Bounds far above what any of these inputs needs on a busy machine.
exec "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1536 \
  -malloc_limit_mb=768 -max_len=4096 -print_final_stats=1 -verbosity=1 \
  -dict="$source_dir/tests/fuzz/dictionaries/$name.dict" \
  -artifact_prefix="$build/findings/$name-" \
  "$build/found/$name" "$source_dir/tests/fuzz/corpus/$name" </dev/null
