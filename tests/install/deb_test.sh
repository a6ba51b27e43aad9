#!/usr/bin/env bash
# Makes the Debian packages of a build, and looks at what they hold.
# Usage: deb_test.sh SOURCE_DIR BUILD_DIR
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"
source_dir=$1 build_dir=$2

umask 022  # CPack gives the folders that it makes what the umask leaves
(cd "$build_dir" && cpack -G DEB -B "$scratch/packages") >"$scratch/log" 2>&1 ||
  { cat "$scratch/log"; exit 1; }
version=$(sed -n 's/^project(tessera VERSION \([0-9.]*\).*/\1/p' "$source_dir/CMakeLists.txt")
architecture=$(dpkg --print-architecture)
program=$scratch/packages/tessera_${version}_$architecture.deb
library=$scratch/packages/libtessera-dev_${version}_$architecture.deb
check 'two packages are made' "$library $program" \
  "$(find "$scratch/packages" -maxdepth 1 -name '*.deb' | sort | paste -sd ' ')"

for deb in "$program" "$library"; do
  name=$(dpkg-deb -f "$deb" Package)
  mkdir "$scratch/$name.control"
  dpkg-deb -e "$deb" "$scratch/$name.control"
  check "$name runs nothing when it is installed" 'control md5sums' \
    "$(cd "$scratch/$name.control" && printf '%s\n' * | sort | paste -sd ' ')"
  check "$name has a section and a description" 'yes yes' \
    "$([[ -n $(dpkg-deb -f "$deb" Section) ]] && echo yes) $(dpkg-deb -f "$deb" Description |
      awk 'NR > 1 && NF {n++} END {print (n > 1 ? "yes" : "no")}')"
  contents=$(dpkg-deb -c "$deb")
  check "$name installs below /usr, owned by root" '' \
    "$(awk '$2 != "root/root" || ($6 != "./" && $6 !~ /^\.\/usr\//)' <<<"$contents")"
  check "$name is readable by all, writable by root" '' \
    "$(awk '$1 !~ /^(drwxr-xr-x|-rw[-x]r-[-x]r-[-x])$/' <<<"$contents")"
done

contents=$(dpkg-deb -c "$program" | awk '{print $6}')
for file in bin/tessera share/doc/tessera/copyright share/tessera/configs/chips/ \
  share/tessera/models/; do
  check "tessera holds $file" "./usr/$file" "$(grep -xF "./usr/$file" <<<"$contents")"
done
check 'tessera holds no development files' '' "$(grep -E '\.(h|a|cmake|cpp)$' <<<"$contents" || true)"
contents=$(dpkg-deb -c "$library" | awk '{print $6}')
contains 'libtessera-dev holds headers' './usr/include/tessera/sim/base/units.h' "$contents"
contains 'libtessera-dev holds libraries' 'libtessera_engine.a' "$contents"
check 'libtessera-dev holds nothing else' '' \
  "$(grep -vE '/$|\.(h|a|cmake)$' <<<"$contents" || true)"

depends=$(dpkg-deb -f "$program" Depends)
for needed in libc6 libstdc++6 libyaml-cpp; do
  contains "tessera depends on $needed" "$needed" "$depends"
done
contains 'libtessera-dev depends on what its headers include' 'nlohmann-json3-dev' \
  "$(dpkg-deb -f "$library" Depends)"

# Unpacked anywhere, the program runs and finds its data.
dpkg-deb -x "$program" "$scratch/root"
contains 'the packaged program runs' 'toy' "$(cd / && "$scratch/root/usr/bin/tessera" list chips)"
finish
