//! A panic in a turn: nothing of the turn counts, writes are refused until the partition is opened again, and what was
//! published before can be read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use haypile_oplog::SyncPolicy;
use haypile_partition::{CommitError, Event, Hooks, Partition};
use haypile_sync::message::Message;

use common::{Lines, Replied, open, read, run};

const SYNCS: [SyncPolicy; 2] = [SyncPolicy::EverySec, SyncPolicy::Always];

#[track_caller]
fn assert_panicked(replied: &Replied) {
    assert!(matches!(replied, Err(CommitError::Panicked(_))), "{replied:?}");
}

/// Only what was committed before is there, and nothing can be written.
fn assert_poisoned(partition: &Partition) {
    assert!(!partition.takes_writes());
    let refused = run(partition, &["set b 2", "get a", "get half"]).unwrap();
    let (error, values) = refused.split_once('|').unwrap();
    assert!(error.starts_with("-MISCONF a defect in the server"), "{error}");
    assert!(error.contains("until a restart"), "{error}");
    assert_eq!(values, "$1|1|$-1|", "a turn reads what was published");
    assert_eq!(read(partition, "get a"), "$1|1|");
    assert_eq!(read(partition, "get half"), "$-1|");
    assert_eq!(read(partition, "dbsize"), ":1|");
    assert_eq!(partition.stats().position.index, 1, "nothing more was logged");
}

/// Opening the partition again mends it.
fn assert_mended(partition: Partition, dir: &std::path::Path, sync: SyncPolicy) {
    drop(partition);
    let (partition, recovery) = open(dir, sync);
    assert_eq!(recovery.replayed, 1);
    assert_eq!(read(&partition, "dbsize"), ":1|");
    assert_eq!(
        run(&partition, &["set half whole", "get half"]).unwrap(),
        "+OK|$5|whole|"
    );
}

#[test]
fn half_a_turn_is_never_seen() {
    for sync in SYNCS {
        for transaction in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (partition, _) = open(dir.path(), sync);
            run(&partition, &["set a 1"]).unwrap();
            // Those of the same turn fail with it; those behind are evaluated in the next.
            let (before, before_done) = Lines::boxed(&["set a 2"], false);
            let (panicking, panicking_done) = Lines::boxed(
                &["set half 1", "flushall", "set half 2", "panic", "set a 3"],
                transaction,
            );
            let (behind, behind_done) = Lines::boxed(&["get a"], false);
            partition.submit(&mut vec![before, panicking, behind]);
            assert_panicked(&before_done.recv().unwrap());
            assert_panicked(&panicking_done.recv().unwrap());
            assert_eq!(behind_done.recv().unwrap().unwrap(), "$1|1|");
            assert_poisoned(&partition);
            assert_mended(partition, dir.path(), sync);
        }
    }
}

#[test]
fn own_work_of_the_server_may_panic_too() {
    for sync in SYNCS {
        let dir = tempfile::tempdir().unwrap();
        let (partition, _) = open(dir.path(), sync);
        run(&partition, &["set a 1"]).unwrap();
        let outcome = partition.run_internal(|turn| {
            turn.internal("test", 0, |cx| -> Result<(), haypile_commands::CommandError> {
                cx.put_string(b"half", None, b"1", None)?;
                panic!("as the test wants it")
            })
        });
        let outcome: Replied = outcome.map(|_| String::new());
        assert_panicked(&outcome);
        assert_poisoned(&partition);
        assert_mended(partition, dir.path(), sync);
    }
}

#[test]
fn who_waits_may_panic_when_it_is_served() {
    for sync in SYNCS {
        let dir = tempfile::tempdir().unwrap();
        let (partition, _) = open(dir.path(), sync);
        run(&partition, &["set a 1"]).unwrap();
        let (other, other_done) = Lines::boxed(&["blpop q 0"], false);
        let client = other.client();
        // It has two lines when it is served, which its harness does not allow.
        let (panicking, panicking_done) = Lines::boxed(&["blmove q d left left 0", "get a"], false);
        partition.submit(&mut vec![panicking, other]);
        assert_eq!(partition.stats().blocked_clients, 2);
        assert_panicked(&run(&partition, &["rpush q 1", "set half 1"]));
        assert!(panicking_done.recv().is_err(), "it has gone with the panic");
        assert!(other_done.try_recv().is_err());
        assert_eq!(partition.stats().blocked_clients, 1, "the other waits still");
        assert!(partition.hold().unblock(client, None));
        assert_eq!(other_done.recv().unwrap().unwrap(), "*-1|");
        assert_poisoned(&partition);
        assert_mended(partition, dir.path(), sync);
    }
}

/// Panics when it is told of an event.
struct Panicking;

impl Hooks for Panicking {
    fn events(&self, _: Vec<Event>) {
        panic!("as the test wants it")
    }

    fn log_needed_from(&self, _: u64) -> Option<u64> {
        None
    }

    fn relay(&self, _: &mut dyn Iterator<Item = &Message>) {}

    fn take_back(&self, _: u64) {}
}

#[test]
fn publishing_may_panic_too() {
    for sync in SYNCS {
        let dir = tempfile::tempdir().unwrap();
        let (partition, _) = open(dir.path(), sync);
        partition.set_hooks(Arc::new(Panicking));
        partition.set_notify(u32::MAX);
        let (task, done) = Lines::boxed(&["set a 1"], false);
        partition.submit(&mut vec![task]);
        assert!(done.recv().is_err(), "nobody knows what became of it");
        wait_until_poisoned(&partition);
        assert!(run(&partition, &["set b 2"]).unwrap().starts_with("-MISCONF a defect"));
        assert_eq!(read(&partition, "get a"), "$1|1|");
        drop(partition);
        let (partition, _) = open(dir.path(), sync);
        assert_eq!(read(&partition, "get a"), "$1|1|", "it was logged");
    }
}

/// The committing thread says so, which is another.
fn wait_until_poisoned(partition: &Partition) {
    while partition.takes_writes() {
        std::thread::yield_now();
    }
}

/// It has the writer, and would wait for itself.
#[test]
fn who_asks_for_the_writer_within_a_turn_is_stopped() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [(partition, _), (other, _)] = dirs.each_ref().map(|dir| open(dir.path(), SyncPolicy::EverySec));
    let within = partition.run_internal(|turn| {
        assert!(!turn.hold().unblock(1, None));
        // Another partition's is free.
        assert!(!other.hold().unblock(1, None));
        assert_eq!(other.run_internal(|_| ()), Ok(()));
    });
    assert_eq!(within, Ok(()));
    assert!(!partition.hold().unblock(1, None), "the turn is over");
    let asked: [&(dyn Fn() + Sync); 2] = [&|| drop(partition.hold()), &|| drop(partition.run_internal(|_| ()))];
    for ask in asked {
        let outcome = partition.run_internal(|_| ask());
        assert!(
            matches!(&outcome, Err(CommitError::Panicked(cause)) if cause.contains("within a turn")),
            "{outcome:?}"
        );
    }
}
