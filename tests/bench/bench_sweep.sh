#!/usr/bin/env bash
# bench_sweep.sh [--check] [--seq N] [--jobs N] [TESSERA]: 1,000 points of one layer of Llama 3.1 8B,
# prefill of 512 tokens (or N), the chip varying: wall time and points a second. --check: exit status 1
# above the target, 60 s with two jobs. See docs/benchmarks.md.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
check=0 seq=512 jobs=2 tessera=$root/build/release/sim/tessera
while (($#)); do
  case $1 in
    --check) check=1 ;;
    --seq) seq=$2 && shift ;;
    --jobs) jobs=$2 && shift ;;
    *) tessera=$1 ;;
  esac
  shift
done
export TESSERA_DATA=$root
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
sed "s/seq: 512/seq: $seq/" "$root/tests/bench/sweep.yaml" >"$folder/sweep.yaml"
TIMEFORMAT='%R %U %S'
{ time "$tessera" sweep "$folder/sweep.yaml" --out "$folder/r.db" --jobs "$jobs" \
  >"$folder/out" 2>"$folder/err"; } 2>"$folder/times" || { cat "$folder/err" && exit 1; }
cat "$folder/out"
times=$(tail -n 1 "$folder/times")
read -r wall in_user in_kernel <<<"$times"
awk -v wall="$wall" -v busy="$in_user" -v kernel="$in_kernel" -v seq="$seq" -v jobs="$jobs" 'BEGIN {
  printf "1000 points, prefill of %d tokens, %d jobs: %.1f s (processor time %.1f s), %.1f points/s\n",
         seq, jobs, wall, busy + kernel, 1000 / wall }'
if ((check)) && awk -v wall="$wall" 'BEGIN { exit !(wall > 60) }'; then
  printf 'MISSED: more than 60 s\n'
  exit 1
fi
