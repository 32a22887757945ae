#!/usr/bin/env bash
# Checks licences, sources and bans of everything we link (deny.toml), and known advisories. cargo-deny is installed once,
# into ~/.cache/haypile/tools.
#
# What cannot be checked fails. Two variables say otherwise:
#   HAYPILE_ADVISORY_DB=DIR   take the advisories from this clone of https://github.com/rustsec/advisory-db, without a look
#                             whether there are newer ones
#   HAYPILE_DENY_OFFLINE=1    where the database cannot be reached, leave the advisories out, and say so; the same for everything where
#                             cargo-deny cannot be installed
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${HAYPILE_TOOLS:-$HOME/.cache/haypile/tools}
export PATH="$tools/bin:$PATH"
install_seconds_max=1200
database=https://github.com/rustsec/advisory-db

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "deny: installing cargo-deny (a few minutes, once)"
    if ! CARGO_TARGET_DIR="$scratch/build" timeout "$install_seconds_max" \
        cargo install --quiet --locked cargo-deny --root "$tools"; then
        echo "deny: NOTHING IS CHECKED: cargo-deny could not be installed" >&2
        [ "${HAYPILE_DENY_OFFLINE:-0}" = 1 ]
        exit
    fi
fi

cargo deny --log-level error check bans licenses sources

if [ -n "${HAYPILE_ADVISORY_DB:-}" ]; then
    # Where cargo-deny would have put it: under a name made of the address. If it looks for another, it fails.
    sed "s|^\[advisories\]|&\ndb-path = \"$scratch/db\"|" deny.toml >"$scratch/deny.toml"
    git clone --quiet "$HAYPILE_ADVISORY_DB" "$scratch/db/advisory-db-3157b0e258782691"
    cargo deny --offline --log-level error --config "$scratch/deny.toml" check advisories
    echo "deny: advisories of $HAYPILE_ADVISORY_DB, $(git -C "$HAYPILE_ADVISORY_DB" log -1 --format=%cs)"
elif GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
    cargo deny --log-level error check advisories
elif [ "${HAYPILE_DENY_OFFLINE:-0}" = 1 ]; then
    echo "deny: ADVISORIES NOT CHECKED: $database cannot be reached (HAYPILE_DENY_OFFLINE=1)" >&2
else
    echo "deny: advisories cannot be checked: $database cannot be reached. HAYPILE_ADVISORY_DB=DIR takes a clone of it," \
        "HAYPILE_DENY_OFFLINE=1 leaves them out (CONTRIBUTING.md)" >&2
    exit 1
fi
