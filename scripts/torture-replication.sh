#!/usr/bin/env bash
# Lets everything go wrong among servers that follow each other: scripts/torture-replication.sh [--rounds N] [--seed S]
#
#   --rounds N   how many rounds (default 100; a round takes about five seconds)
#   --seed S     repeats what happened in an earlier run, which has printed its seed (default: another one each time)
#
# Exit status 0 when nothing was wrong. crates/server/tests/torture_replication.rs says what is checked.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "torture-replication: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seed)
            [[ ${2:-} =~ ^[0-9]+$ ]] || fail "$1 needs a number"
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
    esac
    shift 2
done

# cargo's own runner: nextest would end a run of more than ten minutes.
exec cargo test --release --quiet -p haypile-server --test torture_replication -- --ignored --exact long_run --nocapture
