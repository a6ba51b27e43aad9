#!/usr/bin/env bash
# sim/report/page/bundle.sh FOLDER: makes FOLDER/page.html, the page that --html writes, out of src/
# and the packages that npm fetches by the versions and checksums of package-lock.json. Where there
# is no npm, or it does not reach a registry, page.html holds one line that says so, and is so old
# that the next build tries again. Exit status 1 only where the sources are wrong.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
folder=${1:?usage: sim/report/page/bundle.sh FOLDER}
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd -P)

without_page() {
  printf 'no page: %s\n' "$1" >"$folder/page.html"
  touch -d @1 "$folder/page.html"
  printf 'tessera will be built without --html: %s\n' "$1"
  exit 0
}

command -v npm >/dev/null && command -v node >/dev/null ||
  without_page 'there was no npm when tessera was built'
# npm is asked again only when the lock file has changed.
stamp=$(sha256sum <"$here/package-lock.json")
if [[ ! -f $folder/stamp || $(<"$folder/stamp") != "$stamp" ]]; then
  rm -f "$folder/stamp"
  cp "$here/package.json" "$here/package-lock.json" "$folder"
  if ! (cd "$folder" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund \
    --fetch-timeout=30000 --fetch-retries=1 >npm.log 2>&1); then
    without_page 'npm could not fetch its packages when tessera was built'
  fi
  printf '%s\n' "$stamp" >"$folder/stamp"
fi
node "$here/build.mjs" "$folder"
