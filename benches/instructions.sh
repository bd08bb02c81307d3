#!/bin/sh
# Counts the instructions of one append, under callgrind: a figure that does not
# depend on what else the machine does. Compares with benches/instructions.txt
# and fails where an append has become dearer than that by more than the
# tolerance; a compiler of another version may move it by a few per cent.
#
#   benches/instructions.sh          compares
#   benches/instructions.sh renew    writes benches/instructions.txt anew
#
# AUDITRAIL_BENCH_TOLERANCE   per cent (default: 5)
set -eu
cd "$(dirname "$0")/.."

tolerance=${AUDITRAIL_BENCH_TOLERANCE:-5}
target=${CARGO_TARGET_DIR:-target}
kept=benches/instructions.txt
if ! command -v valgrind >/dev/null; then
    if ! { command -v apt-get && [ "$(id -u)" = 0 ]; } >/dev/null; then
        echo "benches: valgrind is needed; instructions were not counted" >&2
        exit 1
    fi
    apt-get update -qq
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq valgrind >/dev/null
fi

cargo build --release --lib --quiet
soname=$(readelf -d "$target/release/libauditrail.so" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p')
ln -sf libauditrail.so "$target/release/$soname"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -std=c99 -O2 -Wall -Wextra benches/instructions.c -o "$work/instructions" \
    -L"$target/release" -Wl,-rpath,"$(cd "$target/release" && pwd)" -lauditrail

: >"$work/counted"
for mode in buffered mapped written batch; do
    function=auditrail_writer_append
    [ "$mode" != batch ] || function=auditrail_writer_append_batch
    events=$(valgrind --quiet --tool=callgrind --callgrind-out-file="$work/$mode.out" \
        --collect-atstart=no --toggle-collect="$function" \
        "$work/instructions" "$work/$mode" tests/data/events.jsonl "$mode" 20)
    total=$(sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$work/$mode.out" | tail -1)
    echo "$mode $((total / events))" >>"$work/counted"
done

if [ "${1:-}" = renew ]; then
    {
        echo "# Instructions an append takes, by benches/instructions.sh ($(rustc --version | cut -d' ' -f1,2), $(uname -m))"
        cat "$work/counted"
    } >"$kept"
    cat "$kept"
    exit
fi
failed=0
while read -r mode now; do
    before=$(sed -n "s/^$mode //p" "$kept")
    if [ -z "$before" ]; then
        echo "$mode: $now instructions an event, none kept: run $0 renew"
        failed=1
        continue
    fi
    percent=$(((now - before) * 1000 / before))
    verdict=ok
    [ "$percent" -le $((tolerance * 10)) ] || { verdict="dearer by more than $tolerance %" && failed=1; }
    [ "$percent" -ge -$((tolerance * 10)) ] || verdict="cheaper: run $0 renew"
    echo "$mode: $now instructions an event, $before kept: $verdict"
done <"$work/counted"
exit "$failed"
