#!/bin/sh
# Checks the crates of the lock file against deny.toml: licences, sources, bans and
# duplicates; and known vulnerabilities, where their database can be fetched.
#
# Fails with one line where cargo-deny is not here and cannot be installed.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"
tool=target/tools/bin/cargo-deny
if command -v cargo-deny >/dev/null 2>&1; then
    tool=cargo-deny
elif [ ! -x "$tool" ]; then
    echo "deny: cargo-deny is not here; building it takes some minutes" >&2
    "$CARGO" install --quiet --locked --version '^0.20' --root target/tools cargo-deny || {
        echo "deny: not run: cargo-deny could not be installed" >&2
        exit 1
    }
fi
"$tool" --workspace --locked check bans licenses sources

if "$tool" --workspace --locked fetch db >/dev/null 2>&1; then
    "$tool" --workspace --locked --offline check advisories
else
    echo "deny: not run: advisories, whose database cannot be fetched" >&2
fi
