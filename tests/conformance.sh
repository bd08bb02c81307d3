#!/bin/sh
# The trees that corpora of events give, against those that an independent model
# of the event line has made: conformance.sh PROGRAM
#
# PROGRAM is tests/c/conformance.c, built. The project's own corpus is always
# run. The large one of real events is run where it is (not part of the project).
set -eu
program=$1
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 skipped=0

# Each segment's path, size, SHA-256, first and last id.
tree() {
    (cd "$1" && find . -name 'audit-*.jsonl' | sed 's|^\./||' | LC_ALL=C sort) | while read -r path; do
        file=$1/$path
        printf '%s %s %s %s %s\n' "$path" "$(wc -c <"$file" | tr -d ' ')" \
            "$(sha256sum "$file" | cut -d' ' -f1)" \
            "$(head -n 1 "$file" | sed 's/^{"event_id":\([0-9]*\),.*/\1/')" \
            "$(tail -n 1 "$file" | sed 's/^{"event_id":\([0-9]*\),.*/\1/')"
    done
}

corpus() {
    for expected in "$1"/tree-*.txt; do
        limit=$(basename "$expected" .txt | sed 's/tree-//')
        for way in '' batch; do
            root=$scratch/$limit$way
            "$program" "$1/events.jsonl" "$root" "$limit" $way
            tree "$root" >"$scratch/tree"
            rm -rf "$root"
            if ! LC_ALL=C sort "$expected" | diff -u - "$scratch/tree"; then
                echo "conformance: $expected${way:+ in one batch}: the tree is another one" >&2
                exit 1
            fi
            passed=$((passed + 1))
        done
    done
}

corpus "$here/data/corpus"
real=${AUDITRAIL_REFERENCE_DATA:-$here/../../shared/data/model-reference}
if [ -f "$real/events.jsonl" ]; then
    corpus "$real"
else
    echo "conformance: not run on the real corpus, which is not here"
    skipped=1
fi
echo "conformance: $passed passed, 0 failed, $skipped skipped"
