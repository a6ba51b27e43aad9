#!/usr/bin/env bash
# The launcher and cmake/setup.sh on a small tree of their own, whose simulator is one file that
# prints what it was given. Usage: launcher_test.sh SOURCE_DIR
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"
source_dir=$1

tree="$scratch/a tree's place"
mkdir -p "$tree/sim" "$tree/cmake"
cp "$source_dir/tessera" "$source_dir/CMakePresets.json" "$tree/"
cp "$source_dir/cmake/setup.sh" "$tree/cmake/"
# bash is on every Debian system, so nothing is installed.
printf '# only\nbash  # and its comment\n' >"$tree/cmake/debian-packages.txt"
cat >"$tree/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(tessera LANGUAGES CXX)
add_subdirectory(sim)
EOF
cat >"$tree/sim/CMakeLists.txt" <<'EOF'
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
add_executable(tessera ${sources})
EOF
write_program() {  # write_program WORD
  cat >"$tree/sim/main.cpp" <<EOF
#include <cstdio>
#include <cstdlib>
int main(int argc, char** argv) {
  std::printf("$1 %s", std::getenv("TESSERA_DATA"));
  for (int i = 1; i < argc; ++i) std::printf(" <%s>", argv[i]);
  return argc > 2 ? 3 : 0;
}
EOF
}
messages=$scratch/messages
cd "$scratch"

write_program one
check 'first use builds; stdout is the program'"'"'s alone' "one $tree" "$("$tree/tessera" 2>"$messages")"
contains 'first use says that it builds' 'tessera: building' "$(<"$messages")"

built=$(stat -c %Y.%y "$tree/build/release/sim/tessera")
check 'a second use runs silently' "one $tree" "$("$tree/tessera" 2>&1)"
check 'arguments pass unchanged, and the exit status back' "one $tree <a b> <*> 3" \
  "$("$tree/tessera" 'a b' '*' && echo 0 || echo " $?")"
check 'nothing was built again' "$built" "$(stat -c %Y.%y "$tree/build/release/sim/tessera")"

ln -s "$tree/tessera" "$scratch/link to it"
mkdir "$scratch/bin" && ln -s '../link to it' "$scratch/bin/tessera"
check 'runs through symbolic links' "one $tree" "$(cd / && "$scratch/bin/tessera")"
check 'runs from the search path' "one $tree" "$(cd / && PATH="$scratch/bin:$PATH" tessera)"
check 'runs as ./tessera' "one $tree" "$(cd "$tree" && ./tessera 2>&1)"
check 'runs as bash tessera' "one $tree" "$(cd "$tree" && bash tessera 2>&1)"
check 'runs without a look at other places of the same name' "one $tree" \
  "$(mkdir -p "$scratch/elsewhere/a tree's place" && CDPATH="$scratch/elsewhere" bash "a tree's place/tessera")"
check 'a later use starts no other program' "one $tree" \
  "$(PATH=/none "$(command -v bash)" "$tree/tessera" 2>&1)"
check 'TESSERA_DATA of the user wins' 'one elsewhere' "$(TESSERA_DATA=elsewhere "$tree/tessera")"
check 'standard input is the program'"'"'s' "kept" "$(printf kept | { "$tree/tessera" >"$messages"; cat; })"

write_program two
check 'a newer source is built' "two $tree" "$(printf kept | "$tree/tessera" 2>"$messages")"

echo 'int extra() { return 1; }' >"$tree/sim/extra.cpp"
"$tree/tessera" >"$messages" 2>&1
rm "$tree/sim/extra.cpp"
check 'a removed source is built without' "two $tree" "$("$tree/tessera" 2>"$messages")"

echo 'this is no C++' >"$tree/sim/extra.cpp"
check 'a failed build has status 125' 125 "$("$tree/tessera" >"$messages" 2>&1 && echo 0 || echo $?)"
contains 'a failed build says so' 'the build failed' "$(<"$messages")"
contains 'a failed build shows the error' 'error:' "$(<"$messages")"
contains 'a failed build names its log' "$tree/build/release.log" "$(<"$messages")"
check 'it is tried again' 125 "$("$tree/tessera" >"$messages" 2>&1 && echo 0 || echo $?)"
rm "$tree/sim/extra.cpp"
check 'and works once mended' "two $tree" "$("$tree/tessera" 2>"$messages")"

echo 'no_such_command()' >>"$tree/CMakeLists.txt"
check 'a failed configuration has status 125' 125 \
  "$("$tree/tessera" >"$messages" 2>&1 && echo 0 || echo $?)"
contains 'a failed configuration shows the error' 'no_such_command' "$(<"$messages")"
sed -i '$d' "$tree/CMakeLists.txt"

write_program three
for i in 1 2 3 4; do
  "$tree/tessera" >"$scratch/out$i" 2>"$scratch/err$i" &
done
wait
for i in 1 2 3 4; do check "use $i of four at once" "three $tree" "$(<"$scratch/out$i")"; done
check 'one of the four built' 1 "$(grep -l 'building' "$scratch"/err? | wc -l)"

cp -a "$tree" "$scratch/copy"
write_program four
check 'a copied tree builds its own' "three $scratch/copy" "$("$scratch/copy/tessera" 2>"$messages")"
check 'and leaves the first alone' "four $tree" "$("$tree/tessera" 2>"$messages")"

# A package that nobody has, for a user who may not install: the message gives the command.
echo 'no-such-package-for-tessera' >>"$tree/cmake/debian-packages.txt"
if ((EUID == 0)); then
  chmod 755 "$scratch" && chown -R nobody "$tree"
  as_user() { setpriv --reuid nobody --clear-groups env HOME="$scratch" PATH="$scratch/tools" "$@"; }
  # a search path without sudo
  mkdir "$scratch/tools"
  for tool in /usr/bin/* /bin/*; do
    [[ ${tool##*/} == sudo ]] || ln -sf "$tool" "$scratch/tools/"
  done
  check 'a missing package has status 125' 125 \
    "$(as_user "$tree/tessera" >"$messages" 2>&1 && echo 0 || echo $?)"
  contains 'a missing package is named with the command' \
    'As root: apt-get install --no-install-recommends no-such-package-for-tessera' "$(<"$messages")"
  chmod -R a-w "$tree/build" && chown -R root "$tree/build"
  contains 'a read-only tree says what it cannot write' "cannot write to $tree/build" \
    "$(as_user "$tree/tessera" 2>&1 || true)"
fi

finish
