#!/usr/bin/env bash
# Kills the server again and again under load and checks its data: scripts/torture.sh [--rounds N] [--seed S] [--sync P]
#
#   --rounds N   how often it is killed (default 100; a round takes about two seconds)
#   --seed S     repeats the load of an earlier run, which has printed its seed (default: another one each time)
#   --sync P     the server's --sync: always (the default), everysec or os. A kill loses nothing with any of them
#
# Exit status 0 when nothing was wrong. crates/server/tests/torture.rs says what is checked.
declare -A VARIABLES=([--rounds]=HAYPILE_TORTURE_ROUNDS [--seed]=HAYPILE_TORTURE_SEED [--sync]=HAYPILE_TORTURE_SYNC) WORDS=([--sync]="always everysec os")
TEST=torture
# shellcheck source=scripts/long-run.sh
source "$(dirname "$0")/long-run.sh"
