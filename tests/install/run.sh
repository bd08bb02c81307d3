#!/bin/sh
# A staged installation, and small projects that use it: run.sh
#
#   AUDITRAIL_LIB_DIR      the folder with libauditrail.so and .a (default:
#                          target/release)
#   AUDITRAIL_COMMAND_DIR  the folder with the command, if it was built (default:
#                          build)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
from=$(cd "${AUDITRAIL_LIB_DIR:-$repository/target/release}" && pwd)
command=${AUDITRAIL_COMMAND_DIR:-$repository/build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 skipped=0

fail() { echo "install: not so: $*" >&2; exit 1; }
good() { passed=$((passed + 1)); }
makes() {
    make -s -C "$repository" -f install.mk "$@" INSTALL_FROM="$from" INSTALL_COMMAND_FROM="$command" \
        >"$scratch/out" 2>&1 || { cat "$scratch/out"; fail "make $*"; }
}
prints() { # EXPECTED PROGRAM…
    expected=$1
    shift
    found=$("$@") || fail "$* runs"
    [ "$found" = "$expected" ] || fail "$* printed $found instead of $expected"
    good
}

# Exports: the interface and nothing else, under the name that programs record.
nm -D --defined-only "$from/libauditrail.so" | awk '{ print $NF }' | LC_ALL=C sort >"$scratch/exported"
! grep -v '^auditrail_' "$scratch/exported" || fail "only auditrail_* is exported"
good
"$repository/abi/check.sh" "$from/libauditrail.so" || fail "the ABI is the recorded one"
good

for prefix in /usr/local /opt/audit; do
    stage=$scratch/stage$prefix
    libdir=$prefix/lib
    [ "$prefix" = /usr/local ] || libdir=$prefix/lib/x86_64-linux-gnu
    makes install DESTDIR="$stage" PREFIX="$prefix" LIBDIR="$libdir"
    root=$stage$prefix lib=$stage$libdir
    for file in include/auditrail.h include/auditrail.hpp; do
        cmp "$root/$file" "$repository/$file" || fail "$file is installed"
    done
    [ "$(readlink "$lib/libauditrail.so")" = libauditrail.so.0 ] || fail "the link for the linker"
    readelf -d "$lib/libauditrail.so.0" | grep -q 'SONAME.*\[libauditrail.so.0\]' || fail "the soname"
    good
    export LD_LIBRARY_PATH="$lib"

    # pkg-config, with the staged folder as the system's root, shared and static.
    "$repository/scripts/need.sh" pkg-config=pkg-config cc=gcc
    pc() { PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_LIBDIR=$lib/pkgconfig pkg-config "$@" auditrail; }
    flags=$(pc --cflags --libs) || fail "pkg-config finds it"
    cc -std=c99 -Wall -Werror "$here/project/main.c" $flags -o "$scratch/shared"
    readelf -d "$scratch/shared" | grep -q 'NEEDED.*\[libauditrail.so.0\]' || fail "the program needs the soname"
    prints "event 1" "$scratch/shared" "$scratch/trail$prefix"
    static=$(pc --cflags --libs --static | sed "s|-lauditrail|$lib/libauditrail.a|")
    cc -std=c99 "$here/project/main.c" $static -o "$scratch/static"
    ! readelf -d "$scratch/static" | grep -q libauditrail || fail "the static program needs no library"
    prints "event 2" "$scratch/static" "$scratch/trail$prefix"
    [ "$(pc --modversion)" = "$(sed -n 's/^#define AUDITRAIL_VERSION "\(.*\)"/\1/p' "$root/include/auditrail.h")" ] ||
        fail "pkg-config tells the version"
    good

    # CMake, where it is or can be had.
    if "$repository/scripts/need.sh" cmake=cmake c++=g++ 2>"$scratch/need"; then
        build=$scratch/cmake$prefix
        cmake -S "$here/project" -B "$build" -DCMAKE_PREFIX_PATH="$root" \
            -DCMAKE_FIND_ROOT_PATH="$stage" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu \
            >"$scratch/out" 2>&1 && cmake --build "$build" >>"$scratch/out" 2>&1 ||
            { cat "$scratch/out"; fail "the CMake project builds"; }
        prints "event 3" "$build/shared-c" "$scratch/trail$prefix"
        prints "event 4" "$build/static-c" "$scratch/trail$prefix"
        prints "event 5" "$build/shared-cpp" "$scratch/trail$prefix"
        sed 's/auditrail 0.1/auditrail 1.0/' "$here/project/CMakeLists.txt" >"$scratch/CMakeLists.txt"
        mkdir -p "$scratch/newer" && cp "$here/project/"main.* "$scratch/newer" &&
            mv "$scratch/CMakeLists.txt" "$scratch/newer"
        ! cmake -S "$scratch/newer" -B "$scratch/newer/build" -DCMAKE_PREFIX_PATH="$root" >/dev/null 2>&1 ||
            fail "another major version is not taken"
        good
    else
        echo "install: not run: no CMake here: $(cat "$scratch/need")"
        skipped=$((skipped + 1))
    fi

    if [ -x "$command/auditrail" ]; then
        [ "$("$root/bin/auditrail" read "$scratch/trail$prefix" | wc -l)" -ge 2 ] || fail "the command reads"
        [ -s "$root/share/man/man1/auditrail.1" ] || fail "the manual page is installed"
        good
    else
        echo "install: not run: the command was not built"
        skipped=$((skipped + 1))
    fi

    makes uninstall DESTDIR="$stage" PREFIX="$prefix" LIBDIR="$libdir"
    [ -z "$(find "$stage" -not -type d)" ] || fail "nothing is left: $(find "$stage" -not -type d)"
    good
done
unset LD_LIBRARY_PATH

# A Debian package.
if command -v dpkg-deb >/dev/null 2>&1; then
    package=$(INSTALL_FROM=$from INSTALL_COMMAND_FROM=$command "$repository/packaging/deb.sh" "$scratch")
    dpkg-deb -x "$package" "$scratch/unpacked"
    cc "$here/project/main.c" -I"$scratch/unpacked/usr/include" -L"$(echo "$scratch"/unpacked/usr/lib/*/)" \
        -lauditrail -o "$scratch/packaged"
    LD_LIBRARY_PATH=$(echo "$scratch"/unpacked/usr/lib/*/)
    export LD_LIBRARY_PATH
    prints "event 1" "$scratch/packaged" "$scratch/trail-packaged"
else
    echo "install: not run: no dpkg-deb here"
    skipped=$((skipped + 1))
fi
echo "install: $passed passed, 0 failed, $skipped skipped"
