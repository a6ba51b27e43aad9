#!/usr/bin/env bash
# sweep_test.sh TESSERA SOURCE_DIR: a sweep as a job array of a real Slurm on this machine: the same
# content as without it; a task killed in the middle, whose rest alone is submitted again; a job that
# is still running. Skipped (77) where Slurm cannot be started.
set -euo pipefail
tessera=$1
export TESSERA_DATA=$2
. "$2/tests/slurm/cluster.sh"

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf -- "$folder"' EXIT
fail() {
  printf 'FAILED: %s\n' "$*"
  cat "$folder"/*.out "$folder"/*.err "$folder"/*.tasks/*.log 2>/dev/null || true
  exit 1
}
export_of() { "$tessera" report "$1" --jsonl -; }
count() { "$tessera" report "$1" --jsonl - | grep -c "\"status\":\"$2\"" || true; }

start_cluster "$folder/cluster"
cd "$folder"

cat >small.yaml <<'YAML'
chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {hbm.bandwidth_gbps: {from: 50, to: 200, steps: 12}}
YAML
"$tessera" sweep small.yaml --out here.db >here.out
"$tessera" sweep small.yaml --out there.db --executor slurm --chunk 5 >there.out 2>there.err ||
  fail 'the sweep on Slurm ended with an error'
grep -q '12 of 12 points done; 12 in' there.out || fail 'not all points are done'
cmp <(export_of here.db) <(export_of there.db) || fail 'Slurm changes the results'
[[ ! -e there.db.tasks && ! -e there.db.lock ]] || fail 'files are left over'

# A task is killed in the middle: what it has done is kept, and only the rest is submitted again.
cat >slow.yaml <<'YAML'
chip: h100-sxm
workload: {op: gemm m=8192 n=8192 k=4096 dtype=bf16}
axes: {hbm.bandwidth_gbps: {from: 1000, to: 4000, steps: 20}}
YAML
"$tessera" sweep slow.yaml --out slow.db --executor slurm --chunk 10 --no-wait >slow.out 2>slow.err ||
  fail 'the job was not submitted'
job=$(cat slow.db.tasks/job)
if "$tessera" sweep slow.yaml --out slow.db --executor slurm --resume >twice.out 2>twice.err; then
  fail 'a second job was submitted beside the first'
fi
grep -q "job $job still works on it" twice.err || fail 'the second job was refused for another reason'
some_done() { [[ -e slow.db.tasks/part-1.db ]] && (($(count slow.db.tasks/part-1.db done) > 0)); }
within 60 some_done || fail 'no point of the first task was done'
scancel --signal=KILL --full "${job}_1"
over() { [[ -z $(squeue --noheader --jobs="$job" 2>/dev/null) ]]; }
within 120 over || fail 'the job did not end'
(($(count slow.db.tasks/part-1.db pending) > 0)) || fail 'the killed task had finished'
before=$(($(count slow.db.tasks/part-1.db done) + $(count slow.db.tasks/part-2.db done)))
"$tessera" sweep slow.yaml --out slow.db --executor slurm --resume >rest.out 2>rest.err ||
  fail 'the rest was not run'
grep -q ": $((20 - before)) points" rest.err || fail "not only the missing points were submitted"
[[ $(count slow.db done) == 20 ]] || fail 'points are missing'
"$tessera" sweep slow.yaml --out whole.db >whole.out
cmp <(export_of whole.db) <(export_of slow.db) || fail 'a killed task changes the results'

# What sbatch refuses is an error with its words.
if "$tessera" sweep small.yaml --out no.db --executor slurm --sbatch=--partition=none >no.out 2>no.err; then
  fail 'a partition that does not exist was accepted'
fi
grep -q 'sbatch refuses the job' no.err || fail "what sbatch says is not told: $(cat no.err)"
printf 'a sweep on Slurm: passed\n'
