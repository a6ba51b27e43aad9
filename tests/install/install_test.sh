#!/usr/bin/env bash
# Installs a build below a temporary prefix, and uses from there the program and the library.
# Usage: install_test.sh SOURCE_DIR BUILD_DIR
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"
source_dir=$1 build_dir=$2

prefix="$scratch/a prefix"
cmake --install "$build_dir" --prefix "$prefix" >"$scratch/log"
cd "$scratch"

# The program, away from the tree.
contains 'tessera --help shows its usage' 'tessera' "$("$prefix/bin/tessera" --help 2>&1)"
contains 'tessera --version tells the version' \
  "$(sed -n 's/^project(tessera VERSION \([0-9.]*\).*/\1/p' "$source_dir/CMakeLists.txt")" \
  "$("$prefix/bin/tessera" --version 2>&1)"
# A chip that only the installed copy has is found: the program reads the data beside it.
cp "$source_dir/configs/chips/toy.yaml" "$prefix/share/tessera/configs/chips/only-here.yaml"
contains 'tessera list chips reads the installed chips' 'only-here' \
  "$("$prefix/bin/tessera" list chips 2>&1)"
for file in "$source_dir"/configs/chips/*.yaml "$source_dir"/models/*.yaml; do
  installed=$prefix/share/tessera/${file#"$source_dir"/}
  check "${file##*/} is installed" "$(cksum <"$file")" "$(cksum <"$installed")"
done

# Every header, and none that is not there.
check 'the headers are those of the tree' \
  "$(cd "$source_dir" && find sim -name '*.h' ! -path 'sim/cli/*' | sort)" \
  "$(cd "$prefix/include/tessera" && find sim -type f | sort)"
lacks 'the package names no place of the source tree' "$source_dir" \
  "$(cat "$prefix"/lib*/cmake/tessera/*.cmake "$prefix"/lib/*/cmake/tessera/*.cmake 2>/dev/null)"

# The library, from a project of one's own.
cmake -S "$source_dir/tests/install/consumer" -B "$scratch/consumer" -G Ninja \
  -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
cmake --build "$scratch/consumer" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
check 'a program of one'"'"'s own runs' \
  "nearest: hbm tiles: 33 sections: 0 cores: 0 data: $prefix/share/tessera" \
  "$("$scratch/consumer/consumer" | paste -sd ' ')"
finish
