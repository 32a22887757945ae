#!/usr/bin/env bash
# Lets Redis Sentinel run a primary and two replicas, and kills the primary again and again:
# scripts/sentinel.sh [--kills N] [--seed S]
#
#   --kills N    how often the primary is killed (default 10; each takes about fifteen seconds)
#   --seed S     repeats the moments of an earlier run, which has printed its seed (default: another one each time)
#
# Needs redis-sentinel; where it is not installed, says so and does nothing. Exit status 0 when nothing was lost.
# crates/server/tests/sentinel.rs says what is checked.
declare -A VARIABLES=([--kills]=HAYPILE_SENTINEL_KILLS [--seed]=HAYPILE_SENTINEL_SEED) WORDS=()
TEST=sentinel
# shellcheck source=scripts/long-run.sh
source "$(dirname "$0")/long-run.sh"
