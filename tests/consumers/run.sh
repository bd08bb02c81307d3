#!/bin/sh
# Runs the recipes of docs/consumers.md as they stand there, and compares what
# they print with what the page says: run.sh AUDITRAIL, the built command.
#
# What is missing is installed, with apt or pip, where that is possible; what
# cannot be had counts as skipped, and says so.
set -u
LC_ALL=C.UTF-8
TZ=UTC
export LC_ALL TZ
unset NO_COLOR
here=$(cd "$(dirname "$0")/../.." && pwd)
command=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
build=$here/build/consumers
scratch=$build/scratch
page=$here/docs/consumers.md
passed=0 failed=0 skipped=0

rm -rf "$scratch"
mkdir -p "$scratch/bin" "$scratch/blocks" || exit 1
ln -s "$command" "$scratch/bin/auditrail"
PATH=$scratch/bin:$PATH
HOME=$scratch
export PATH HOME

# Every block that has a name: blocks/recipe=NAME, prints=NAME, file=NAME.
awk -v into="$scratch/blocks/" '
    /^```/ { inside = !inside; path = ""; if (inside && $2 != "") path = into $2; next }
    path != "" { print > path }
' "$page"
cd "$scratch" || exit 1

ok() { passed=$((passed + 1)); echo "ok: $*"; }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
not_run() { skipped=$((skipped + 1)); echo "not run: $*"; }

# recipe NAME INTERPRETER…: must print what the page says, if it says something.
recipe() {
    name=$1
    shift
    ran="$ran $name"
    if ! "$@" "blocks/recipe=$name" >"out-$name" 2>"err-$name" </dev/null; then
        bad "$name: it ended with an error"
        cat "out-$name" "err-$name"
    elif [ -f "blocks/prints=$name" ] && ! diff "blocks/prints=$name" "out-$name"; then
        bad "$name: it printed something else than the page says"
    else
        ok "$name"
    fi
}

# same WHAT EXPECTED FOUND: two files.
same() {
    if cmp -s "$2" "$3"; then ok "$1"; else
        sort "$2" >"$2.sorted"
        sort "$3" >"$3.sorted"
        bad "$1: $(comm -23 "$2.sorted" "$3.sorted" | wc -l) lost, $(comm -13 "$2.sorted" "$3.sorted" | wc -l) too many"
    fi
}
ran=''

recipe trail sh

# A larger trail with many segments, to count what others see of it.
seq 1 6000 | awk '{ printf "{\"domain\":\"%s\",\"category\":\"c%d\",\"model_name\":\"m %d \\u00e9\\t\",\"operation\":\"update\",\"logical_user_id\":\"u-%d\",\"payload\":{\"delta\":{\"n\":{\"old\":%d,\"new\":%d}}}}\n", ($1 % 3 ? "v2" : "legacy"), $1 % 5, $1, $1 % 7, $1 - 1, $1 }' >events
auditrail append --quiet --segment-size 20K large <events || bad "the larger trail"
auditrail read large >expected

if "$here/scripts/need.sh" jq=jq; then
    for name in jq-deleted jq-users jq-changes jq-follow; do recipe "$name" sh; done
    cat large/*/*/audit-*.jsonl | jq .event_id | sort -n >found
    seq 1 6000 >wanted
    same "jq sees every event of the larger trail" wanted found
else
    not_run "jq"
fi

python=$build/python/bin/python
if ! "$python" -c 'import duckdb' 2>/dev/null; then
    rm -rf "$build/python"
    { python3 -m venv "$build/python" || { "$here/scripts/need.sh" python3=python3 &&
        apt-get install -y -q python3-venv && python3 -m venv "$build/python"; }; } >/dev/null 2>&1
    HOME=$build "$python" -m pip install --quiet duckdb >/dev/null 2>&1
fi
if "$python" -c 'import duckdb' 2>/dev/null; then
    recipe duckdb "$python"
    "$python" -c "
import duckdb
print(*duckdb.sql('''SELECT event_id FROM read_json('large/*/*/audit-*.jsonl', format = 'newline_delimited')
    ORDER BY 1''').fetchall(), sep='\n')" | tr -d '(,)' >found
    seq 1 6000 >wanted
    same "DuckDB sees every event of the larger trail" wanted found
else
    not_run "DuckDB: duckdb could not be installed with pip"
fi

if "$here/scripts/need.sh" lnav=lnav; then
    cp "$here/packaging/lnav/auditrail.json" .
    for name in lnav-install lnav-events lnav-sql; do recipe "$name" sh; done
    lnav -n -c ';SELECT event_id FROM auditrail_log ORDER BY event_id' -c ':write-csv-to -' 'large/*/*/audit-*.jsonl' |
        sed 1d >found
    seq 1 6000 >wanted
    same "lnav sees every event of the larger trail" wanted found
else
    not_run "lnav"
fi

# rsyslog tails a trail that is being written and rotated, is stopped and
# started in the midst of it, and later killed.
rsyslog=''
trap '[ -z "$rsyslog" ] || kill "$rsyslog" 2>/dev/null' EXIT
start_rsyslog() {
    rsyslogd -n -f "$scratch/auditrail.conf" -i "$scratch/rsyslog.pid" 2>>"$scratch/err-rsyslog" &
    rsyslog=$!
}
# Stops it once nothing has come any more for a while.
settle() {
    lines=-1
    tries=0
    while [ "$tries" -lt 60 ]; do
        now=$(cat "$scratch/shipped" 2>/dev/null | wc -l)
        [ "$now" = "$lines" ] && [ "$now" -ge "$1" ] && break
        lines=$now tries=$((tries + 1))
        sleep 1
    done
    kill "$rsyslog"
    wait "$rsyslog" 2>/dev/null
}
write_live() {
    for part in "$1".*; do
        auditrail append --quiet --segment-size 20K live <"$part" || bad "appending to the live trail"
        [ "$part" = "$1.$2" ] && "$3"
    done
}
restart() {
    kill "$rsyslog"
    wait "$rsyslog" 2>/dev/null
    start_rsyslog
}
crash() {
    kill -9 "$rsyslog"
    wait "$rsyslog" 2>/dev/null
    rm -f "$scratch/rsyslog.pid"
    start_rsyslog
}
need_rsyslog() {
    PATH=$PATH:/usr/sbin:/sbin
    "$here/scripts/need.sh" rsyslogd=rsyslog
}
if need_rsyslog; then
    ran="$ran auditrail.conf"
    mkdir live spool
    sed -e "s|/srv/app/audit|$scratch/live|; s|/var/spool/rsyslog|$scratch/spool|; s|/var/log/audit.jsonl|$scratch/shipped|" \
        "blocks/file=auditrail.conf" >auditrail.conf
    split -n l/20 events first.
    split -n l/20 events second.
    : >shipped
    start_rsyslog
    write_live first aj restart
    settle 6000
    auditrail read live | sort >wanted
    sort shipped >found
    same "rsyslog ships every line of a live, rotating trail once, over a restart" wanted found
    for segment in live/v2/c1/audit-*.jsonl; do
        cat "$segment" >&3
        grep -Fx -f "$segment" shipped
    done >found 3>wanted
    same "rsyslog keeps the order within a segment" wanted found
    start_rsyslog
    write_live second aj crash
    settle 12000
    auditrail read live | sort >wanted
    sort -u shipped >found
    same "rsyslog loses nothing when it is killed" wanted found
else
    not_run "rsyslog"
fi

# No recipe of the page may go untested.
for block in blocks/recipe=* blocks/file=*; do
    name=${block#blocks/*=}
    case $ran in
    *" $name"*) ;;
    *) case $name in
        duckdb | jq-* | lnav-* | auditrail.conf) [ "$skipped" -gt 0 ] || bad "$name was not run" ;;
        *) bad "$name is a recipe that nothing here runs" ;;
        esac ;;
    esac
done

echo "consumers: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
