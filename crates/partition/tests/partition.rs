//! A partition as its server uses it: turns, commit, recovery, failed writes, waiting clients.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use haypile_oplog::SyncPolicy;

use common::{Lines, open, read, run};

#[test]
fn a_killed_partition_has_all_that_was_committed() {
    for sync in [SyncPolicy::Always, SyncPolicy::EverySec, SyncPolicy::Os] {
        let dir = tempfile::tempdir().unwrap();
        let (partition, _) = open(dir.path(), sync);
        for n in 0..50 {
            run(&partition, &[&format!("set k{n} v{n}"), "incr total", "rpush list x"]).unwrap();
        }
        run(&partition, &["del k7", "lpop list"]).unwrap();
        drop(partition); // nothing is saved: as after kill -9
        let (partition, recovery) = open(dir.path(), sync);
        assert_eq!(recovery.replayed, 152, "{sync}");
        assert_eq!(read(&partition, "get total"), "$2|50|");
        assert_eq!(read(&partition, "get k7"), "$-1|");
        assert_eq!(read(&partition, "llen list"), ":49|");
        assert_eq!(read(&partition, "dbsize"), ":51|");
        partition.close().unwrap();
        drop(partition);
        let (partition, recovery) = open(dir.path(), sync);
        assert_eq!(recovery.replayed, 0, "a clean stop leaves nothing to replay");
        assert_eq!(read(&partition, "dbsize"), ":51|");
    }
}

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let (task, done) = Lines::boxed(&["set a 1", "lpush a x"], true);
    partition.submit(&mut vec![task]);
    done.recv().unwrap().unwrap();
    assert_eq!(read(&partition, "get a"), "$-1|");
    assert_eq!(read(&partition, "dbsize"), ":0|");
    assert_eq!(
        partition.stats().position.index,
        0,
        "an entry without effects is not logged"
    );
}

#[test]
fn flushed_databases_stay_empty_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    run(&partition, &["set a 1", "flushall", "set b 2"]).unwrap();
    assert_eq!(read(&partition, "dbsize"), ":1|");
    drop(partition);
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    assert_eq!(read(&partition, "get a"), "$-1|");
    assert_eq!(read(&partition, "get b"), "$1|2|");
    run(&partition, &["flushall"]).unwrap();
    run(&partition, &["flushall", "set c 3"]).unwrap();
    drop(partition);
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    assert_eq!(read(&partition, "dbsize"), ":1|");
    assert_eq!(read(&partition, "get c"), "$1|3|");
}

#[test]
fn changes_of_what_a_flushed_database_had_are_passed_over_when_it_has_been_freed() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::Always);
    run(&partition, &["rpush l a b c", "hset h f v", "set s 1"]).unwrap();
    partition.store().flush().unwrap();
    // Logged as changes of what is in the store: elements on either side, which need the ones between.
    run(&partition, &["rpush l d", "lpush l z", "flushall", "rpush l x"]).unwrap();
    // This takes effect on disk at once, where the store is still that of before.
    partition.store().drop_unmapped(u64::MAX).unwrap();
    // What a power failure leaves: closing would write out the rest.
    let failed = tempfile::tempdir().unwrap();
    copy(dir.path(), failed.path());
    drop(partition);
    let (partition, recovery) = open(failed.path(), SyncPolicy::Always);
    assert!(recovery.replayed > 0);
    assert_eq!(read(&partition, "dbsize"), ":1|");
    assert_eq!(read(&partition, "lrange l 0 -1"), "*1|$1|x|");
}

/// Copies a directory that somebody may be writing to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            // A file that is gone meanwhile is no part of the copy.
            false => drop(fs::copy(entry.path(), to.join(entry.file_name()))),
        }
    }
}

#[test]
fn clients_wait_in_line_for_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::Always);
    let (first, first_done) = Lines::boxed(&["blpop q 0"], false);
    let (second, second_done) = Lines::boxed(&["brpop q 0"], false);
    partition.submit(&mut vec![first, second]);
    assert_eq!(partition.stats().blocked_clients, 2);
    run(&partition, &["rpush q a"]).unwrap();
    assert_eq!(first_done.recv().unwrap().unwrap(), "*2|$1|q|$1|a|");
    assert!(second_done.try_recv().is_err());
    run(&partition, &["rpush q b c"]).unwrap();
    assert_eq!(second_done.recv().unwrap().unwrap(), "*2|$1|q|$1|c|");
    assert_eq!(partition.stats().blocked_clients, 0);
    let (third, third_done) = Lines::boxed(&["blpop nothing 0"], false);
    let client = third.client();
    partition.submit(&mut vec![third]);
    assert!(partition.hold().unblock(client, None));
    assert_eq!(third_done.recv().unwrap().unwrap(), "*-1|");
    assert!(!partition.hold().unblock(client, None));
}

#[test]
fn many_threads_lose_no_increment() {
    let dir = tempfile::tempdir().unwrap();
    for sync in [SyncPolicy::Always, SyncPolicy::EverySec] {
        let (partition, _) = open(&dir.path().join(sync.to_string()), sync);
        let partition = Arc::new(partition);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let partition = partition.clone();
                std::thread::Builder::new()
                    .spawn(move || {
                        for _ in 0..200 {
                            run(&partition, &["incr n"]).unwrap();
                        }
                    })
                    .unwrap()
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(read(&partition, "get n"), "$3|800|");
    }
}
