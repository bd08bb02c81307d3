#!/bin/sh
# The main job, on real input: the history of a git repository becomes an audit
# trail. demo.sh BUILD, where BUILD holds the built programs and library.
set -eu
build=$1
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
root=$build/demo-trail
rm -rf "$root" "$build/demo-rate"
say() { printf '\n== %s\n' "$*"; }

history=$build/history.txt
if git -C "$repository" rev-parse HEAD >/dev/null 2>&1; then
    say "Recording who changed which file of this repository, in which commit"
    git -C "$repository" -c core.quotePath=false log --reverse --no-renames --name-status \
        --format='commit%x09%H%x09%at%x09%ae' >"$history"
else
    say "Recording a bundled sample of a repository's history (there is no git history here)"
    cp "$here/history.txt" "$history"
fi
"$build/record" "$root" <"$history"

say "The trail, in $root"
(cd "$root" && find . -type f | LC_ALL=C sort | xargs wc -c | sed 's|\./||; $d')
printf 'index.json says: '
cat "$root/index.json"
echo

say "A few lines of it"
first=$(find "$root" -name 'audit-000001.jsonl' -exec wc -c {} + | grep -v ' total$' | sort -n |
    tail -n 1 | sed 's/^ *[0-9]* //')
head -n 3 "$first"

say "Opened again, ids go on"
"$build/record" "$root" <"$history"

say "A crash in mid-write leaves half a line ..."
printf '{"event_id":99999,"timestamp":17' >>"$first"
tail -n 1 "$first"
echo
rm -f "$root/.auditrail/state" # a crash leaves no clean end either
say "... which is cut off at the next opening, and kept"
"$build/record" "$root" <"$history"
for torn in "$root"/.auditrail/torn/*; do
    printf '%s: ' "${torn#"$root"/}"
    cat "$torn"
    echo
done
bad=$(find "$root" -name 'audit-*.jsonl' -exec grep -Lc '^{.*}$' {} + || true)
[ -z "$bad" ] || { echo "not whole: $bad" >&2; exit 1; }
echo "every line is whole; the last: $(find "$root" -name 'audit-*.jsonl' -exec tail -qn 1 {} + | sed 's/^{"event_id":\([0-9]*\),.*/\1/' | sort -n | tail -n 1)"

say "One append costs one write(2)"
if "$repository/scripts/need.sh" strace=strace; then
    rm -rf "$build/demo-traced"
    events=$(grep -c '^[AMTD]	' "$history" || true)
    strace -f -o "$build/strace.txt" -e trace=write "$build/record" "$build/demo-traced" <"$history"
    writes=$(grep -c 'write([0-9]*, "{\\"event_id\\":' "$build/strace.txt" || true)
    echo "$events events, $writes writes to segments"
    [ "$events" = "$writes" ] || { echo "that is not one each" >&2; exit 1; }
else
    echo "not shown"
fi

say "How fast, against a bare loop of write(2) with the same lines"
"$build/rate" "$repository/tests/data/events.jsonl" "$build/demo-rate"
