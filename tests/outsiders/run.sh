#!/bin/sh
# Has trails verified by others' code: Go's sumdb packages, and Python's pymerkle
# with cryptography. Installs what is missing where it can, and says "not run"
# where it cannot.
#
#   AUDITRAIL_OUTSIDERS_SIZES   events of each trail; default 0 1 2 255 256 257 70000 1000000
#   AUDITRAIL_OUTSIDERS_KEEP    a folder for trails and tools; default a temporary one
set -eu
cd "$(dirname "$0")/../.."
sizes=${AUDITRAIL_OUTSIDERS_SIZES:-0 1 2 255 256 257 70000 1000000}
if [ -n "${AUDITRAIL_OUTSIDERS_KEEP:-}" ]; then
    work=$AUDITRAIL_OUTSIDERS_KEEP
    mkdir -p "$work"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
work=$(cd "$work" && pwd)

install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    { apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && apt-get install -y --no-install-recommends "$@"; }; } >"$work/apt.log" 2>&1
}

# Every trail is accepted, and none of which a line was changed.
verify_all() {
    for size in $sizes; do
        "$@" "$work/trails/$size"
        [ "$size" -gt 0 ] || continue
        segment=$(find "$work/trails/$size/trail" -name 'audit-*.jsonl' | sort | tail -n 1)
        cp "$segment" "$work/kept"
        sed '$ s/create/delete/' "$work/kept" >"$segment"
        if "$@" "$work/trails/$size" >/dev/null 2>&1; then
            echo "FAILED: a changed line was accepted: $*, $size events" >&2
            exit 1
        fi
        mv "$work/kept" "$segment"
    done
}

rm -rf "$work/trails"
mkdir "$work/trails"
echo "making trails of $sizes events"
AUDITRAIL_OUTSIDERS="$work/trails" AUDITRAIL_OUTSIDERS_SIZES="$sizes" \
    cargo test --quiet ${AUDITRAIL_CARGO_FLAGS:-} -p auditrail --lib from_append_to_proof
# A name that no test has is no failure to cargo.
for size in $sizes; do
    [ -d "$work/trails/$size" ] || {
        echo "FAILED: the test that makes the trails was not found" >&2
        exit 1
    }
done

sumdb=/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog
if { command -v go >/dev/null && [ -d "$sumdb" ]; } ||
    install_packages golang-go golang-golang-x-mod-dev; then
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$work/go-cache" \
        go build -o "$work/verify-go" tests/outsiders/verify.go
    verify_all "$work/verify-go"
else
    echo "not run: Go's sumdb packages (golang-go and golang-golang-x-mod-dev cannot be installed)"
fi

python=$work/venv/bin/python
packages="import pymerkle, cryptography"
if "$python" -c "$packages" 2>/dev/null ||
    { { python3 -m venv "$work/venv" 2>/dev/null ||
        { install_packages python3-venv && python3 -m venv "$work/venv"; }; } &&
        "$python" -m pip --quiet --disable-pip-version-check install 'pymerkle==7.*' cryptography; }; then
    verify_all "$python" tests/outsiders/verify.py
else
    echo "not run: pymerkle and cryptography (no python3 venv, or PyPI cannot be reached)"
fi
