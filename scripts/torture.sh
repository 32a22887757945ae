#!/usr/bin/env bash
# Kills the server again and again under load and checks its data: scripts/torture.sh [--rounds N] [--seed S] [--sync P]
#
#   --rounds N   how often it is killed (default 100; a round takes about two seconds)
#   --seed S     repeats the load of an earlier run, which has printed its seed (default: another one each time)
#   --sync P     the server's --sync: always (the default), everysec or os. A kill loses nothing with any of them
#
# Exit status 0 when nothing was wrong. crates/server/tests/torture.rs says what is checked.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "torture: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seed)
            [[ ${2:-} =~ ^[0-9]+$ ]] || fail "$1 needs a number"
            ;;
        --sync)
            [[ ${2:-} =~ ^(always|everysec|os)$ ]] || fail "--sync is one of always, everysec, os"
            ;;
        -h | --help)
            sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
        *) fail "unknown argument '$1' (--help says more)" ;;
    esac
    case $1 in
        --rounds) export HAYPILE_TORTURE_ROUNDS=$2 ;;
        --seed) export HAYPILE_TORTURE_SEED=$2 ;;
        --sync) export HAYPILE_TORTURE_SYNC=$2 ;;
    esac
    shift 2
done

# cargo's own runner: nextest would end a run of more than ten minutes.
exec cargo test --release --quiet -p haypile-server --test torture -- --ignored --exact long_run --nocapture
