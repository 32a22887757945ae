#!/usr/bin/env bash
# Lets everything go wrong among servers that follow each other: scripts/torture-replication.sh [--rounds N] [--seed S]
#
#   --rounds N   how many rounds (default 100; a round takes about five seconds)
#   --seed S     repeats what happened in an earlier run, which has printed its seed (default: another one each time)
#
# Exit status 0 when nothing was wrong. crates/server/tests/torture_replication.rs says what is checked.
declare -A VARIABLES=([--rounds]=HAYPILE_TORTURE_ROUNDS [--seed]=HAYPILE_TORTURE_SEED) WORDS=()
TEST=torture_replication
# shellcheck source=scripts/long-run.sh
source "$(dirname "$0")/long-run.sh"
