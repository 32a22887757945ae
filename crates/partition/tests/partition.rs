//! A partition as its server uses it: turns, commit, recovery, failed writes, waiting clients.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

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
    assert!(partition.unblock(client, None));
    assert_eq!(third_done.recv().unwrap().unwrap(), "*-1|");
    assert!(!partition.unblock(client, None));
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
