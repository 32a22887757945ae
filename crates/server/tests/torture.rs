//! Kills the server again and again under load, starts it again, and checks that its data is what it must be.
//!
//! A run has rounds. In each, several connections write what they like; the process ends in the midst of it, mostly by
//! kill -9; sometimes it is killed again while it recovers. After the restart:
//! - every write that was acknowledged is there;
//! - what each connection sent after that and was not answered is there up to some point, and nothing of it from there
//!   on: a command counts wholly or not at all, so does a transaction, and none counts without those before it;
//! - DBSIZE is the number of keys that SCAN finds, each collection has as many elements as it says, and the two
//!   indexes of a sorted set agree;
//! - nothing that was moved from list to list or taken by a blocking pop is there twice or lost.
//!
//! While a round runs, each reply is compared with what a model of the data says, and one connection looks at
//! what the others write in transactions: it must never see half of one.
//!
//! The load, the order of commands and the moments of the kills come from a seed; what the machine makes of it in
//! time does not, so a seed repeats the load and not the exact moment. A short run is a test like others; a long one
//! is `make torture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod torture {
    mod apply;
    mod batch;
    mod choose;
    mod dump;
    mod model;
    mod queue;
    mod round;
    mod worker;

    pub use round::{Plan, run};
}

use haypile_testkit::{number, seed};
use torture::{Plan, run};

#[test]
fn nothing_acknowledged_is_lost() {
    run(&Plan {
        rounds: 5,
        seed: seed("HAYPILE_TORTURE_SEED"),
        sync: "always".into(),
    });
}

/// `scripts/torture.sh` runs it.
#[test]
#[ignore = "takes minutes: make torture"]
fn long_run() {
    run(&Plan {
        rounds: number("HAYPILE_TORTURE_ROUNDS").unwrap_or(100),
        seed: seed("HAYPILE_TORTURE_SEED"),
        sync: std::env::var("HAYPILE_TORTURE_SYNC").unwrap_or_else(|_| "always".into()),
    });
}
