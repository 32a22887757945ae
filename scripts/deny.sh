#!/usr/bin/env bash
# Checks licences, sources and bans of everything we link (deny.toml), and known advisories when their database can
# be reached. cargo-deny is installed once, into ~/.cache/haypile/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${HAYPILE_TOOLS:-$HOME/.cache/haypile/tools}
export PATH="$tools/bin:$PATH"
install_seconds_max=1200

if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "deny: installing cargo-deny (a few minutes, once)"
    build=$(mktemp -d)
    trap 'rm -rf "$build"' EXIT
    if ! CARGO_TARGET_DIR="$build" timeout "$install_seconds_max" \
        cargo install --quiet --locked cargo-deny --root "$tools"; then
        echo "deny: NOT CHECKED: cargo-deny could not be installed" >&2
        exit 0
    fi
fi

cargo deny --log-level error check bans licenses sources

if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
    cargo deny --log-level error check advisories
else
    echo "deny: advisories NOT CHECKED: the RustSec database cannot be reached"
fi
