#!/bin/sh
# Every language against the built library: run.sh [LANGUAGE…]
#
#   AUDITRAIL_LIB_DIR      the folder with libauditrail.so (default: build)
#   AUDITRAIL_INCLUDE_DIR  the folder with auditrail.h (default: include)
#
# For each language: its tests; the events of events.jsonl, written in every way
# that it has, which must give the files of tree-2048.txt; its story in examples/,
# run by the command in the story's own head, which must print story.txt; and its
# snippet in docs/languages.md, as it stands there. What a language needs is
# installed where that is possible; where it is not, one line says so, and the
# language counts as skipped. Of C and Rust only the corpus is written here: their
# tests are tests/c/ and tests/*.rs. First of all comes a C program that loads the
# library and watches how it behaves as a guest.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
lib=$(cd "${AUDITRAIL_LIB_DIR:-$repository/build}" && pwd)
include=$(cd "${AUDITRAIL_INCLUDE_DIR:-$repository/include}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0

# A folder in which the library has all its names, as after an installation.
mkdir "$scratch/lib"
ln -s "$lib/libauditrail.so" "$scratch/lib/libauditrail.so"
ln -s "$lib/libauditrail.so" "$scratch/lib/libauditrail.so.0"
lib=$scratch/lib
export AUDITRAIL_LIB="$lib/libauditrail.so" LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export CPATH="$include" LIBRARY_PATH="$lib" # for compilers
corpus=$here/events.jsonl
bindings=$repository/bindings examples=$repository/examples
mkdir -p "$repository/build" # where the stories' commands put what they compile

need() { "$repository/scripts/need.sh" "$@" >"$work/need" 2>&1 || { missing=$(cat "$work/need"); return 1; }; }

# Each language: what it needs, then test (given the corpus and a folder) and
# snippet (given a file, run in an empty folder).

guest_needs() {
    need cc=gcc || return 1
    cc -std=gnu99 -Wall -Wextra -Wpedantic -Werror -rdynamic "$here/guest/guest.c" -o "$work/test" -ldl -pthread
}
guest_test() {
    cp "$lib/libauditrail.so" "$work/libcopy.so"
    "$work/test" "$AUDITRAIL_LIB" "$work/libcopy.so" "$2" 3>"$work/checks" >"$work/printed" 2>&1 ||
        { cat "$work/checks" "$work/printed"; return 1; }
    [ ! -s "$work/printed" ] || { echo "the library has printed:"; cat "$work/printed"; return 1; }
    cat "$work/checks"
}

c_needs() {
    need cc=gcc || return 1
    strict='cc -std=c99 -Wall -Wextra -Wpedantic -Werror'
    $strict "$here/c/test.c" -o "$work/test" -lauditrail && $strict -fsyntax-only "$examples/c/story.c" &&
        cc -std=c90 -Wall -Wextra -Wpedantic -Werror "$here/c/c90.c" -o "$work/test-c90" -lauditrail
}
c_test() { "$work/test-c90" "$2/c90" && "$work/test" "$1" "$2"; }
c_snippet() { cp "$1" hello.c && $strict hello.c -o hello -lauditrail && ./hello; }

cpp_needs() {
    need c++=g++ || return 1
    strict='c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -pthread'
    $strict "$here/cpp/test.cpp" -o "$work/test" -lauditrail &&
        $strict -fno-exceptions "$here/cpp/test.cpp" -o "$work/test-bare" -lauditrail &&
        $strict -fsyntax-only "$examples/cpp/story.cpp"
}
cpp_test() { mkdir "$2/bare" && "$work/test-bare" "$1" "$2/bare" && "$work/test" "$1" "$2"; }
cpp_snippet() { cp "$1" hello.cpp && $strict hello.cpp -o hello -lauditrail && ./hello; }

# Rust is the library itself: what cargo builds, not $AUDITRAIL_LIB.
rust_needs() {
    need cargo=cargo || return 1
    cargo build -q --manifest-path "$repository/Cargo.toml" --lib --example story &&
        compile_rust "$here/rust/test.rs" "$work/test"
}
compile_rust() {
    built=${CARGO_TARGET_DIR:-$repository/target}/debug
    rustc --edition 2024 -D warnings -L dependency="$built/deps" --extern auditrail="$built/libauditrail.rlib" "$1" -o "$2"
}
rust_test() { "$work/test" "$1" "$2"; }
rust_snippet() { cp "$1" hello.rs && compile_rust hello.rs hello && ./hello; }

go_needs() {
    need go=golang-go cc=gcc || return 1
    export GOTOOLCHAIN=local GOCACHE="${GOCACHE:-$repository/build/go-cache}"
}
go_test() {
    (cd "$examples/go" && go vet ./...) && cd "$bindings/go" && go vet ./... &&
        AUDITRAIL_CORPUS=$1 AUDITRAIL_SAME=$2/same go test -count=1 -race ./...
}
go_snippet() {
    cp "$1" main.go && go mod init hello 2>/dev/null &&
        go mod edit -require=example.org/auditrail@v0.0.0 -replace=example.org/auditrail="$bindings/go" && go run .
}

python_needs() { need python3=python3 && export PYTHONWARNINGS=error; }
python_test() {
    AUDITRAIL_CORPUS=$1 AUDITRAIL_SAME=$2/same python3 "$here/python/test_auditrail.py" 2>&1
}
python_snippet() { PYTHONPATH=$bindings/python python3 "$1"; }

lua_needs() { need luajit=luajit; }
lua_test() { luajit "$here/lua/test.lua" "$1" "$2"; }
lua_snippet() { LUA_PATH="$bindings/lua/?.lua" luajit "$1"; }

ruby_needs() { need ruby=ruby && export RUBYOPT=-w; }
ruby_test() { ruby "$here/ruby/test.rb" "$1" "$2"; }
ruby_snippet() { ruby -I "$bindings/ruby" "$1"; }

node_needs() {
    need node=nodejs npm=npm || return 1
    modules=$repository/build/node
    mkdir -p "$modules"
    [ -d "$modules/node_modules/koffi" ] ||
        npm install --prefix "$modules" --no-audit --no-fund --loglevel=error koffi@2 >"$work/npm" 2>&1 || {
        missing="koffi could not be installed from npm"
        return 1
    }
    export NODE_PATH="$modules/node_modules"
}
node_test() { node "$here/node/test.js" "$1" "$2"; }
node_snippet() { cp "$bindings/node/auditrail.cjs" "$1" . && node "./$(basename "$1")"; }

php_needs() {
    need php=php-cli || return 1
    php='php -d ffi.enable=1'
    $php -m | grep -qx FFI || { missing='the PHP here has no FFI'; return 1; }
}
php_test() { $php "$here/php/test.php" "$1" "$2"; }
php_snippet() { cp "$bindings/php/Auditrail.php" "$1" . && $php "$(basename "$1")"; }

java_needs() {
    need javac=default-jdk-headless || return 1
    jna=/usr/share/java/jna.jar
    [ -f "$jna" ] || need no-such-command=libjna-java || [ -f "$jna" ] || {
        missing='JNA is not here, and could not be installed (Debian package libjna-java)'
        return 1
    }
    javac -Xlint:all -Werror -d "$work/classes" -cp "$jna" "$bindings/java/auditrail/Auditrail.java" \
        "$examples/java/Story.java" "$here/java/Test.java"
}
java_test() { java -cp "$jna:$work/classes" Test "$1" "$2"; }
java_snippet() {
    cp "$1" Hello.java && javac -cp "$jna:$work/classes" -d . Hello.java && java -cp "$jna:$work/classes:." Hello
}

# The first block of a language's section in the documentation.
block() {
    awk -v language="$1" '/^## / { here = 0 } /^<!-- run: / { here = $3 == language }
        /^```/ && inside { exit } inside { print } /^```/ && here { inside = 1 }' "$repository/docs/languages.md"
}

# Runs one part of a language in a subshell, its output kept for the case that
# it fails.
part() {
    what=$1
    shift
    if ! (set -e; "$@") >"$work/out" 2>"$work/err"; then
        echo "failed: $language: $what"
        sed 's/^/    /' "$work/out" "$work/err" | tail -n 60
        return 1
    fi
}

check_tree() {
    cd "$1/same" && sha256sum -c --quiet "$here/tree-2048.txt" &&
        [ "$(find . -name 'audit-*.jsonl' | wc -l)" = "$(wc -l <"$here/tree-2048.txt")" ]
}

run_test() {
    $language"_test" "$corpus" "$work/trails"
}

# The command in the head of a story: what its first comment indents.
command_of() {
    sed -nE '1,12s,^( \*|#|--|//!?)?(    |\t)[[:space:]]*,,p' "$1" | sed '/[^\&]$/q'
}

run_story() {
    command=$(command_of "$examples/$language"/[Ss]tory.*)
    case $command in
    *' audit') ;;
    *) echo "the head of the story has no command that ends in the trail's name: $command"; return 1 ;;
    esac
    cd "$repository"
    sh -c "${command% audit} \"\$0\"" "$work/story" >"$work/told" || { cat "$work/told"; return 1; }
    diff "$here/story.txt" "$work/told" && [ ! -s "$work/err" ]
}

run_snippet() {
    extension=txt
    [ "$language" = node ] && extension=js
    block "$language" >"$work/Hello.$extension"
    [ -s "$work/Hello.$extension" ] || { echo "docs/languages.md has no block for $language"; return 1; }
    mkdir "$work/snippet" && cd "$work/snippet" && $language"_snippet" "$work/Hello.$extension" >"$work/shown" &&
        cat "$work/shown" && sed -n '1p' "$work/shown" | grep -qx 'event 1' && sed -n '2p' "$work/shown" | grep -q '^1 '
}

for language in ${*:-guest c cpp rust go python lua ruby node php java}; do
    work=$scratch/$language
    mkdir -p "$work/trails"
    missing=''
    if ! $language"_needs" 2>"$work/err"; then
        if [ -n "$missing" ]; then
            echo "not run: no $language here: $missing"
            skipped=$((skipped + 1))
        else
            echo "failed: $language: does not compile"
            sed 's/^/    /' "$work/err"
            failed=$((failed + 1))
        fi
    elif [ "$language" = guest ]; then
        if part "its tests" run_test; then
            echo "ok guest: no threads unasked, no signals, no output, no environment; reloads, copies, forks"
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    elif part "its tests" run_test && part "its files are not those of tree-2048.txt" check_tree "$work/trails" &&
        part "its story" run_story && part "its snippet in docs/languages.md" run_snippet; then
        echo "ok $language: tests, the same bytes, story, snippet"
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "callers: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
