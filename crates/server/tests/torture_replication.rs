//! Servers that follow each other, under load, while everything goes wrong: kills, servers that stand still, cables that
//! are cut, slow or flip bits, empty directories, exchanged addresses, wrong passwords, promotions, logs that are
//! too short.
//!
//! A run has rounds. In each, clients write to the primary, one to four things happen, most of them without waiting for
//! the last to be over, and then every cause is taken away. After that, within bounded time and by itself:
//! - every replica has an open stream and all entries, and all servers have the same digest;
//! - every write that was acknowledged is there, and each transaction as a whole. If a replica has been promoted
//!   meanwhile (the one with the highest offset, as Sentinel does), those writes are there that WAIT has confirmed from more
//!   replicas than could not be chosen.
//!
//! All along, INFO replication must show a state, and with an error its reason; no reader may see a half of a
//! transaction; no server may end by itself, panic, or log an error that nothing accounts for; and there is no end of neither
//! full syncs nor transitions.
//!
//! What happens and in which order comes from a seed; what the machine makes of it in time does not. A short run is a test like
//! others; a long one is `make torture-replication`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod torture_replication {
    mod causes;
    mod check;
    mod cluster;
    mod events;
    mod load;
    mod logs;
    mod node;
    mod noise;
    mod promotion;
    mod round;
    mod watcher;

    pub use round::{Plan, run};
}

use haypile_testkit::{number, seed};
use torture_replication::{Plan, run};

#[test]
fn servers_that_follow_each_other_end_alike() {
    run(&Plan {
        rounds: 6,
        seed: seed("HAYPILE_TORTURE_SEED"),
        rounds_of_a_cluster: 2,
    });
}

/// `scripts/torture-replication.sh` runs it.
#[test]
#[ignore = "takes minutes: make torture-replication"]
fn long_run() {
    run(&Plan {
        rounds: number("HAYPILE_TORTURE_ROUNDS").unwrap_or(100),
        seed: seed("HAYPILE_TORTURE_SEED"),
        rounds_of_a_cluster: 10,
    });
}
