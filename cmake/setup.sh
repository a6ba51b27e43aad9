# shellcheck shell=bash
# Sourced by ../tessera and ../tests/run: installs Debian packages and builds CMake presets.
# Writes to stderr and to a log, never to stdout, which belongs to the program's own output.

readonly setup_failed=125  # the tree could not be built: what `git bisect run` skips

# One compiler cache serves every clone of the tree: paths below its root are hashed as relative.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1

say() { printf 'tessera: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit "$setup_failed"
}

# follow LABEL LOG: append stdin to LOG and show how far it has come, on one line of a terminal or
# in steps of ten percent elsewhere. Steps are ninja's "[done/total] what".
follow() {
  local label=$1 log=$2 line text percent last=-1 erase=$'\r\033[K'
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    text="$label: $line" percent=
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]]; then
      percent=$((10#${BASH_REMATCH[1]} * 100 / 10#${BASH_REMATCH[2]}))
      text="$label: $percent% ${BASH_REMATCH[3]##*/}"
    fi
    if [[ -t 2 ]]; then
      printf '%s%.78s' "$erase" "$text" >&2
    elif [[ -n $percent ]] && ((percent / 10 > last)); then
      last=$((percent / 10))
      say "$label: $percent%"
    fi
  done
  if [[ -t 2 ]]; then printf '%s' "$erase" >&2; fi
}

# logged LABEL LOG COMMAND...: run with its output followed; returns the command's status. Nothing
# that it leaves running may keep the caller's lock (descriptor 9).
logged() {
  local label=$1 log=$2
  shift 2
  step_begins=$(($(wc -l <"$log") + 1))
  "$@" 2>&1 </dev/null 9>&- | follow "$label" "$log"
  return "${PIPESTATUS[0]}"
}

# why LOG: what most likely went wrong in the last step, and where the rest is.
why() {
  tail -n "+$step_begins" "$1" | grep -m 8 -E 'error:|Error|^E: |FAILED|fatal' >&2 ||
    tail -n 8 "$1" >&2
  say "the whole log: $1"
}

# install_packages LOG LIST...: install the packages of the list files that are missing. Of one with a
# question mark behind it, "npm?", the command of that name is wanted, wherever it comes from, and the
# build goes on without it.
install_packages() {
  local log=$1 package installed missing=() wanted=() attempt
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
  shift
  # Elsewhere than on Debian, CMake says what it does not find.
  command -v dpkg-query >/dev/null || return 0
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>>"$log" |
    sed -n 's/ installed$//p')
  while IFS= read -r package; do
    if [[ $package == *\? ]]; then
      command -v "${package%\?}" >/dev/null || wanted+=("${package%\?}")
    else
      grep -qxF -e "$package" <<<"$installed" || missing+=("$package")
    fi
  done < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@")
  ((${#missing[@]} + ${#wanted[@]})) || return 0

  if ((EUID != 0)); then
    ((${#missing[@]})) || command -v sudo >/dev/null || return 0
    command -v sudo >/dev/null || fail "${#missing[@]} Debian packages are missing and this user" \
      "may not install them. As root: apt-get install --no-install-recommends ${missing[*]}"
    apt=(sudo "${apt[@]}")
    # Without a terminal nobody can answer sudo's question.
    if [[ ! -t 2 ]]; then apt=(sudo -n "${apt[@]:1}"); fi
  fi
  apt+=(-q -y -o DPkg::Lock::Timeout=600)
  if ((${#missing[@]})); then
    say "installing ${#missing[@]} Debian packages: ${missing[*]}"
    for attempt in 1 2 3; do  # another apt may be holding the package lists
      logged 'package lists' "$log" "${apt[@]}" update || say 'the package lists could not be updated'
      logged packages "$log" "${apt[@]}" install --no-install-recommends "${missing[@]}" && break
      if ((attempt < 3)); then sleep 5; continue; fi
      why "$log"
      fail "apt-get could not install: ${missing[*]}"
    done
  fi
  for package in "${wanted[@]}"; do
    say "installing $package"
    logged "$package" "$log" "${apt[@]}" install --no-install-recommends "$package" ||
      say "going on without $package"
  done
}

# build PRESET LOG JOBS [TARGET]: configure and build; fails with the reason.
build() {
  local preset=$1 log=$2 jobs=$3 target=${4:-all}
  # Ninja asks for CMake again where it must, so an existing build needs no configure step. One that
  # belongs to another place (the tree was moved or copied) is of no use.
  if ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "build/$preset/CMakeCache.txt" ||
    [[ ! -f build/$preset/build.ninja || CMakePresets.json -nt build/$preset/build.ninja ]]; then
    rm -rf "build/$preset/CMakeCache.txt" "build/$preset/CMakeFiles"
    if ! logged configuring "$log" cmake --preset "$preset"; then
      why "$log"
      fail 'the build could not be configured'
    fi
  fi
  if ! NINJA_STATUS='[%f/%t] ' logged building "$log" \
    cmake --build "build/$preset" --parallel "$jobs" --target "$target"; then
    why "$log"
    fail 'the build failed'
  fi
}
