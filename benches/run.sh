#!/bin/sh
# Builds and runs the side-by-side benchmark, and writes its tables and picture:
# docs/benchmarks.md (the part between its markers) and docs/benchmarks.svg.
#
#   benches/run.sh            about a minute
#   AUDITRAIL_BENCH=full benches/run.sh
#
# AUDITRAIL_BENCH_ONLY     only what has this text in its description; no report
# AUDITRAIL_BENCH_DIR      where to write events (default: target/bench; choose
#                          the file system that you want to know about)
# AUDITRAIL_BENCH_ROUNDS, AUDITRAIL_BENCH_SECONDS   rounds, seconds a run
# AUDITRAIL_BENCH_DOCS     where the report goes (default: docs; quick runs
#                          write to target/bench, unless this is set)
# AUDITRAIL_REFERENCE_DATA the folder of the real events (events.jsonl)
set -eu
cd "$(dirname "$0")/.."

mode=${AUDITRAIL_BENCH:-quick}
target=${CARGO_TARGET_DIR:-target}
work=${AUDITRAIL_BENCH_DIR:-target/bench}
mkdir -p "$work" target/bench

# What the C++ side needs; on Debian it is installed.
missing=
for need in spdlog/spdlog.h sqlite3.h rocksdb/db.h; do
    echo "#include <$need>" | g++ -std=c++17 -E -x c++ - >/dev/null 2>&1 || missing="$missing $need"
done
if [ -n "$missing" ]; then
    echo "benches: installing what provides$missing" >&2
    if ! { command -v apt-get && [ "$(id -u)" = 0 ]; } >/dev/null; then
        echo "benches: install g++, libspdlog-dev, libsqlite3-dev and librocksdb-dev first" >&2
        exit 1
    fi
    apt-get update -qq
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq g++ pkg-config libspdlog-dev \
        libsqlite3-dev librocksdb-dev >/dev/null
fi

cargo build --release --lib --quiet
cargo build --release --quiet --manifest-path benches/peers/Cargo.toml \
    --target-dir "$target"

# The name that programs look for when they start.
soname=$(readelf -d "$target/release/libauditrail.so" | sed -n "s/.*(SONAME).*\[\(.*\)\].*/\1/p")
ln -sf libauditrail.so "$target/release/$soname"

g++ -std=c++17 -O2 -Wall -Wextra -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL \
    benches/side_by_side.cpp benches/ours.cpp benches/limits.cpp benches/peers.cpp \
    -o target/bench/side_by_side \
    -L"$target/release" -Wl,-rpath,"$(cd "$target/release" && pwd)" -lauditrail -lpeers \
    -lspdlog -lfmt -lsqlite3 -lrocksdb -lpthread

data=${AUDITRAIL_REFERENCE_DATA:-../shared/data/model-reference}
events=tests/data/events.jsonl
if [ -r "$data/events.jsonl" ]; then
    events=$data/events.jsonl
else
    echo "benches: no reference data at $data; using the bundled events" >&2
fi

results=target/bench/results.jsonl
status=0
target/bench/side_by_side "$work" "$events" "$results" "$mode" "${AUDITRAIL_BENCH_ONLY:-}" ||
    status=$?
[ -z "${AUDITRAIL_BENCH_ONLY:-}" ] || exit "$status"

docs=${AUDITRAIL_BENCH_DOCS:-}
if [ -z "$docs" ]; then
    if [ "$mode" = full ]; then docs=docs; else docs=target/bench; fi
fi
mkdir -p "$docs"
python3 benches/report.py "$results" "$docs" "$mode" "$events" "$work"
exit "$status"
