#!/usr/bin/env bash
# tests/page/fetch.sh FOLDER TESSERA: fetches what drives the browser into FOLDER, by the versions and
# checksums of package-lock.json, and writes the pages that the tests look at.
# Exit status: 0 all is there, 77 skipped (no browser, no npm, no registry, or no pages in this build).
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
folder=${1:?usage: tests/page/fetch.sh FOLDER TESSERA} tessera=${2:?}
skip() {
  printf 'skipped: %s\n' "$*"
  exit 77
}

command -v chromium >/dev/null || skip 'there is no chromium'
command -v node >/dev/null && command -v npm >/dev/null || skip 'there is no npm'
mkdir -p "$folder"
cd -- "$folder"
stamp=$(sha256sum <"$here/package-lock.json")
if [[ ! -f stamp || $(<stamp) != "$stamp" ]]; then
  rm -f stamp
  cp "$here/package.json" "$here/package-lock.json" .
  if ! timeout 240 npm ci --ignore-scripts --no-audit --no-fund --fetch-timeout=60000 \
    --fetch-retries=1 >npm.log 2>&1; then
    grep -q EINTEGRITY npm.log && { cat npm.log; exit 1; }
    skip "npm could not fetch the packages; see $folder/npm.log"
  fi
  printf '%s\n' "$stamp" >stamp
fi

export TESSERA_DATA=$here/../..
layers=(--model llama-3.1-8b --phase prefill --batch 1 --seq 256 --layers 2)
if ! "$tessera" run --chip h100-sxm "${layers[@]}" --precision auto --error-budget 0.03 \
  --json before.json --html run.html >run.log 2>&1; then
  grep -q 'built without pages' run.log && skip "$(<run.log)"
  cat run.log
  exit 1
fi
"$tessera" run --chip h200-sxm "${layers[@]}" --precision bf16 --json after.json >/dev/null
"$tessera" report before.json after.json --json comparison.json --html comparison.html >/dev/null
cat >sweep.yaml <<'END'
title: Memory bandwidth against L2 size
question: Is more bandwidth or more cache worth it?
chip: toy
workload: {op: "gemm m=64 n=1024 k=1024 dtype=bf16"}
axes:
  hbm.bandwidth_gbps: [32, 64, 128]
  l2.size_mib: [1, 2, 4]
END
rm -f sweep.db
"$tessera" sweep sweep.yaml --out sweep.db --jobs 2 >/dev/null
"$tessera" report sweep.db --json sweep.json --html sweep.html >/dev/null
