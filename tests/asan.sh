#!/bin/sh
# The C and C++ programs under AddressSanitizer, together with the library:
# asan.sh FOLDER
#
# The library is built for it by a nightly toolchain, the programs by gcc, whose
# runtime serves both. FOLDER takes what is built; each program is run in an empty
# folder within. The first report ends the run, and so does a leak; where ptrace
# is forbidden, LeakSanitizer says so and fails.
set -eu
cd "$(dirname "$0")/.."
folder=$1
host=$(rustc +nightly -vV 2>/dev/null | sed -n 's/^host: //p')
[ -n "$host" ] || {
    echo "asan: no nightly toolchain is here: rustup toolchain install nightly" >&2
    exit 1
}
scripts/need.sh gcc=gcc g++=g++
# Named, so that build scripts and macros are built as ever.
RUSTFLAGS=-Zsanitizer=address "${CARGO:-cargo}" +nightly build --lib --target "$host" --target-dir "$folder"
library=$folder/$host/debug
ln -sf libauditrail.so "$library/libauditrail.so.0"

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
strict='-Wall -Wextra -Wpedantic -Werror -g -fsanitize=address -Iinclude'
for source in tests/c/*.c; do
    for language in c cpp; do
        case $language in
        c) compiler='gcc -std=c99 -D_POSIX_C_SOURCE=200809L' ;;
        cpp) compiler='g++ -x c++ -std=c++17' ;;
        esac
        program=$folder/$(basename "$source" .c)-$language
        # shellcheck disable=SC2086 # several words are meant
        $compiler $strict "$source" -o "$program" -L"$library" -lauditrail -Wl,-rpath,'$ORIGIN/'"$host/debug"
        echo "$program"
        case $program in
        */conformance-*) tests/conformance.sh "$program" ;;
        *)
            rm -rf "$folder/scratch" && mkdir "$folder/scratch"
            "$program" "$folder/scratch"
            ;;
        esac
    done
done
echo "asan: nothing to report"
