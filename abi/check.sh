#!/bin/sh
# Says whether the ABI is the recorded one: check.sh [--update] LIBRARY [HEADER]
#
# What is added is fine, and is recorded with --update in the same commit. What is
# changed or taken away breaks programs that are already built: not within one
# first version number (the soname).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$1" = --update ]; then
    shift
    "$here/dump.sh" "$@" >"$here/auditrail.abi.new"
    mv "$here/auditrail.abi.new" "$here/auditrail.abi"
    exit 0
fi
now=$(mktemp)
trap 'rm -f "$now"' EXIT
"$here/dump.sh" "$@" >"$now"
changes=$(diff "$here/auditrail.abi" "$now" || true)
[ -n "$changes" ] || exit 0
echo "$changes" | grep '^[<>]' >&2
if echo "$changes" | grep -q '^<'; then
    echo "the ABI is another one: lines with < were there and are gone, lines with > are new" >&2
else
    echo "the ABI has grown: record it with abi/check.sh --update $*" >&2
fi
exit 1
