//! Redis Sentinel runs a primary with two replicas: it finds them, sees that the primary has died, promotes a replica, and
//! makes the old primary follow when it is back.
//!
//! Three sentinels (Debian's `redis-sentinel`), three servers, and clients that ask the sentinels where the primary is, write
//! there, and send `WAIT 1` after each write. The primary is killed with kill -9 again and again, and each time:
//! - a replica is promoted, and the clients go on there;
//! - **every write that WAIT has confirmed is there**;
//! - the killed server comes back, believes that it is a primary, is told by Sentinel to follow, and does.
//!
//! In the end all three hold the same data.
//!
//! `WAIT 1` with two replicas says that one of them has the write. It survives because Sentinel promotes the replica with
//! the larger offset, which is the one that has more: both have a beginning of the same log. As with Redis this is
//! Sentinel's choice and no vote: it holds for one failure at a time, which is why a round ends only when all are in sync.
//!
//! A seed repeats when the primary is killed (after how many confirmed writes) and when it comes back. Where redis-sentinel is
//! not installed, the tests say so and do nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod sentinel {
    mod group;
    mod process;
    mod round;
    mod writers;

    pub use round::{Plan, run};
}

#[path = "replication/support.rs"]
#[allow(dead_code)]
mod support;

use haypile_testkit::{number, seed};
use sentinel::{Plan, run};

#[test]
fn a_primary_that_dies_is_replaced_and_comes_back_as_a_replica() {
    run(&Plan {
        kills: 1,
        seed: seed("HAYPILE_SENTINEL_SEED"),
    });
}

/// `scripts/sentinel.sh` runs it.
#[test]
#[ignore = "takes minutes: make sentinel"]
fn long_run() {
    run(&Plan {
        kills: number("HAYPILE_SENTINEL_KILLS").unwrap_or(10),
        seed: seed("HAYPILE_SENTINEL_SEED"),
    });
}
