#!/bin/sh
# Sees to it that commands are there: need.sh COMMAND=PACKAGE…
#
# What is missing is installed with apt, where that is possible. Says in one line
# what could not be had, and then fails.
missing='' packages=''
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair%%=*}" packages="$packages ${pair#*=}"
done
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1; then
    as_root=''
    [ "$(id -u)" = 0 ] || as_root='sudo -n'
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # several words are meant
    { $as_root apt-get install -y -q $packages || {
        $as_root apt-get update -q && $as_root apt-get install -y -q $packages
    }; } >/dev/null 2>&1 </dev/null
fi
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || {
        echo "not here, and could not be installed: ${pair%%=*} (Debian package ${pair#*=})" >&2
        exit 1
    }
done
