//! What is read is what was: each reply is what one state of the data gives, and no older one than what was
//! acknowledged or seen before the read began.
//!
//! A run has scenarios. Each has one writer, who goes from state to state, by a command or a transaction at a time, and
//! says what each state is. Readers on several connections ask about it all the while, one by one and in
//! pipelines, and compare each reply with what the states give that are possible for it:
//! - **from** the newest of which it is known that it was there before the read was sent: because a writer was told so,
//!   or any reader has seen it. At a replica what counts is what was seen there, and what WAIT has confirmed to the
//!   writer;
//! - **to** the newest that was asked for before the reply came.
//!
//! If none of them gives this reply, it is wrong:
//! - *Torn*: no state gives it. A half of a transaction or of a command was seen;
//! - *Old*: an older state gives it, so time has run backwards;
//! - *OutOfTime*: the state is possible, but not at the time: a key that has expired, or has gone too early.
//!
//! Of several states that give a reply the oldest counts as seen, so that nothing is held against the server that need not be so.
//!
//! A run goes on to its end and then says what was wrong how often. It takes a number of reads and writes, and no time. The
//! order of what each connection sends comes from a seed; what the machine makes of it in time does not. A short run
//! is a test like others; a long one is `make torture-reads`. `HAYPILE_TORTURE_ONLY=rename` leaves those scenarios only in
//! whose names this is, and `HAYPILE_TORTURE_SERVER=redis` runs them against redis-server, where nothing may be wrong:
//! if something is, the scenario is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod visibility {
    mod check;
    mod connection;
    mod data;
    mod expected;
    mod node;
    mod progress;
    mod reader;
    mod reads;
    mod replies;
    mod round;
    mod scenario;
    mod scenarios;
    mod writer;

    pub use node::Options;
    pub use round::{Plan, run};
}

use haypile_testkit::{Rng, number, seed};
use visibility::{Options, Plan, run};

/// Reads of a group of small scenarios in a short run, and in a round of a long one.
const READS: u64 = 200_000;
const READS_LONG: u64 = 600_000;
/// Groups of small scenarios in a short run, and of large ones: another seed takes others. All of them are in a long one.
const GROUPS: [usize; 2] = [3, 1];
const GROUPS_ALL: [usize; 2] = [usize::MAX; 2];

/// A variable's text; `default` if it is not set.
fn word(name: &str, default: &str) -> String {
    std::env::var(name)
        .ok()
        .filter(|word| !word.is_empty())
        .unwrap_or(default.into())
}

fn options(io_threads: u64, sync: &str) -> Options {
    Options {
        io_threads,
        sync: sync.into(),
        replica: false,
        cold: false,
        redis: word("HAYPILE_TORTURE_SERVER", "haypile") == "redis",
    }
}

/// A short run, which the test of this name does.
#[track_caller]
fn short(test: &str, options: Options) {
    let seed = seed("HAYPILE_TORTURE_SEED");
    let outcome = run(&Plan {
        seed,
        options,
        reads: READS,
        groups_max: GROUPS,
        only: word("HAYPILE_TORTURE_ONLY", ""),
        repeat: format!("HAYPILE_TORTURE_SEED={seed} make test ARGS={test}"),
    });
    outcome.unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn one_thread_shows_whole_states() {
    short("one_thread_shows_whole_states", options(1, "everysec"));
}

#[test]
fn one_thread_that_syncs_shows_whole_states() {
    short("one_thread_that_syncs_shows_whole_states", options(1, "always"));
}

#[test]
fn four_threads_show_whole_states() {
    short("four_threads_show_whole_states", options(4, "everysec"));
}

#[test]
fn four_threads_that_sync_show_whole_states() {
    short("four_threads_that_sync_show_whole_states", options(4, "always"));
}

#[test]
fn a_replica_shows_whole_states() {
    let options = Options {
        replica: true,
        ..options(4, "everysec")
    };
    short("a_replica_shows_whole_states", options);
}

#[test]
fn cold_data_is_shown_in_whole_states() {
    let options = Options {
        cold: true,
        ..options(4, "everysec")
    };
    short("cold_data_is_shown_in_whole_states", options);
}

/// All scenarios: what they say of their states is what Redis does.
#[test]
fn redis_shows_whole_states() {
    let seed = seed("HAYPILE_TORTURE_SEED");
    let outcome = run(&Plan {
        seed,
        options: Options {
            redis: true,
            ..options(1, "everysec")
        },
        reads: READS / 20,
        groups_max: GROUPS_ALL,
        only: word("HAYPILE_TORTURE_ONLY", ""),
        repeat: format!("HAYPILE_TORTURE_SEED={seed} make test ARGS=redis_shows_whole_states"),
    });
    outcome.unwrap_or_else(|wrong| panic!("a scenario is wrong: {wrong}"));
}

/// `scripts/torture-reads.sh` runs it.
#[test]
#[ignore = "takes minutes: make torture-reads"]
fn long_run() {
    let rounds = number("HAYPILE_TORTURE_ROUNDS").unwrap_or(20);
    let first = seed("HAYPILE_TORTURE_SEED");
    let mut wrong = 0;
    for seed in first..first + rounds {
        // What is not given comes from the seed.
        let mut rng = Rng::new(seed, 1);
        let (threads, sync) = (*rng.pick(&[1, 4]), *rng.pick(&["everysec", "always", "os"]));
        let (replica, cold) = (rng.one_in(2), rng.one_in(3));
        let threads = number("HAYPILE_TORTURE_IO_THREADS").unwrap_or(threads);
        let sync = word("HAYPILE_TORTURE_SYNC", sync);
        let server = word("HAYPILE_TORTURE_SERVER", "haypile");
        let given = format!("--io-threads {threads} --sync {sync} --server {server}");
        let outcome = run(&Plan {
            seed,
            options: Options {
                replica,
                cold,
                ..options(threads, &sync)
            },
            reads: READS_LONG,
            groups_max: GROUPS_ALL,
            only: word("HAYPILE_TORTURE_ONLY", ""),
            repeat: format!("scripts/torture-reads.sh --rounds 1 --seed {seed} {given}"),
        });
        if let Err(words) = outcome {
            println!("{words}");
            wrong += 1;
        }
    }
    assert!(wrong == 0, "in {wrong} of {rounds} rounds something was wrong");
}
