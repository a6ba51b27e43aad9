# shellcheck shell=bash
# Sourced by the tests here: scratch space, and checks that go on after a failure. A test ends with
# `finish`.
set -euo pipefail
unset TESSERA_DATA CDPATH
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
failures=0

check() {  # check WHAT EXPECTED ACTUAL
  if [[ $2 == "$3" ]]; then
    printf 'ok: %s\n' "$1"
  else
    printf 'FAILED: %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3"
    failures=$((failures + 1))
  fi
}
contains() {  # contains WHAT PART TEXT
  if [[ $3 == *"$2"* ]]; then check "$1" yes yes; else check "$1" "... $2 ..." "$3"; fi
}
lacks() {  # lacks WHAT PART TEXT
  if [[ $3 == *"$2"* ]]; then check "$1" "nothing with $2" "$3"; else check "$1" yes yes; fi
}
finish() { ((failures == 0)); }
