#!/usr/bin/env bash
# Instructions executed for the 4096-cubed bf16 GEMM on h100-sxm, counted by valgrind's callgrind:
# a number for regressions that no load on the machine disturbs.
#   tests/bench/bench_instructions.sh [TESSERA [WORKLOAD OPTIONS...]]
# TESSERA: the program (default: build/release/sim/tessera). Prints three lines: instructions,
# simulated cycles, instructions per simulated cycle.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
program=${1:-$root/build/release/sim/tessera}
shift || true
if (($#)); then workload=("$@"); else workload=(--op 'gemm m=4096 n=4096 k=4096 dtype=bf16'); fi
for needed in valgrind "$program"; do
  if ! command -v "$needed" >/dev/null; then
    printf 'bench_instructions: %s: not found\n' "$needed" >&2
    exit 2
  fi
done

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
if ! TESSERA_DATA=$root valgrind --tool=callgrind --callgrind-out-file="$scratch/out.%p" \
  "$program" run --chip h100-sxm "${workload[@]}" --json "$scratch/run.json" \
  >"$scratch/log" 2>&1; then
  cat -- "$scratch/log" >&2
  exit 2
fi
# The simulation runs in a child, whose count goes on from its parent's: the largest is the whole
# way from start to result. (The parent's own adds the report.)
instructions=$(sed -n 's/^\(totals\|summary\): *//p' "$scratch"/out.* | sort -n | tail -n 1)
cycles=$(sed -n 's/^ *"cycles": *\([0-9]*\).*/\1/p' "$scratch/run.json" | head -n 1)
printf 'instructions %s\ncycles %s\ninstructions_per_cycle %s\n' "$instructions" "$cycles" \
  "$(awk -v i="$instructions" -v c="$cycles" 'BEGIN { printf "%.1f", i / c }')"
