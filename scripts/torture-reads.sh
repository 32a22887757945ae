#!/usr/bin/env bash
# Reads on many connections what others write, and checks each reply: scripts/torture-reads.sh [--rounds N] [--seed S] ...
#
#   --rounds N       how many rounds, each with all scenarios and a server of its own (default 20; about half a minute each)
#   --seed S         begins where an earlier run was, which has printed its seeds (default: another one each time)
#   --io-threads N   the server's --io-threads (default: 1 or 4, as the seed says)
#   --sync P         the server's --sync: always, everysec or os (default: as the seed says)
#   --server P       haypile (the default), or redis for redis-server, where nothing may be wrong
#
# Exit status 0 when nothing was wrong. crates/server/tests/visibility.rs says what is checked.
declare -A VARIABLES=([--rounds]=HAYPILE_TORTURE_ROUNDS [--seed]=HAYPILE_TORTURE_SEED [--io-threads]=HAYPILE_TORTURE_IO_THREADS
    [--sync]=HAYPILE_TORTURE_SYNC [--server]=HAYPILE_TORTURE_SERVER) WORDS=([--sync]="always everysec os" [--server]="haypile redis")
TEST=visibility
# shellcheck source=scripts/long-run.sh
source "$(dirname "$0")/long-run.sh"
