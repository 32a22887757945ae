#!/usr/bin/env bash
# Lets Redis Sentinel run a primary and two replicas, and kills the primary again and again:
# scripts/sentinel.sh [--kills N] [--seed S]
#
#   --kills N    how often the primary is killed (default 10; each takes about fifteen seconds)
#   --seed S     repeats the moments of an earlier run, which has printed its seed (default: another one each time)
#
# Needs redis-sentinel; where it is not installed, says so and does nothing. Exit status 0 when nothing was lost.
# crates/server/tests/sentinel.rs says what is checked.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "sentinel: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --kills | --seed)
            [[ ${2:-} =~ ^[0-9]+$ ]] || fail "$1 needs a number"
            ;;
        -h | --help)
            sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
        *) fail "unknown argument '$1' (--help says more)" ;;
    esac
    case $1 in
        --kills) export HAYPILE_SENTINEL_KILLS=$2 ;;
        --seed) export HAYPILE_SENTINEL_SEED=$2 ;;
    esac
    shift 2
done

# cargo's own runner: nextest would end a run of more than ten minutes.
exec cargo test --release --quiet -p haypile-server --test sentinel -- --ignored --exact long_run --nocapture
