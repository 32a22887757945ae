//! Tasks that wait for keys: who is served, when, and at what cost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use haypile_commands::CommandError;
use haypile_oplog::SyncPolicy;
use haypile_partition::{Awaited, CommitError, Partition, Step, Task, Turn};
use haypile_store::effects::{Effect, Effects};
use haypile_store::row::Kind;

use common::{Lines, Replied, open, read, run};

const SYNCS: [SyncPolicy; 2] = [SyncPolicy::EverySec, SyncPolicy::Always];

/// Lets a command wait.
fn wait(partition: &Partition, line: &str) -> Receiver<Replied> {
    let (task, done) = Lines::boxed(&[line], false);
    partition.submit(&mut vec![task]);
    done
}

/// The commands that the log's entries say they come from, entry by entry.
fn logged(partition: &Partition) -> Vec<Vec<String>> {
    let mut reader = partition.readers().reader(1).unwrap();
    let entries = std::iter::from_fn(|| reader.next().unwrap());
    let tags = |payload: &[u8]| {
        let tags = Effects::new(payload).flatten().filter_map(|effect| match effect {
            Effect::Tag { command, .. } => Some(String::from_utf8(command.to_vec()).unwrap()),
            _ => None,
        });
        tags.collect()
    };
    entries.map(|entry| tags(&entry.payload)).collect()
}

#[test]
fn who_waits_is_served_before_the_next_command() {
    for sync in SYNCS {
        let dir = tempfile::tempdir().unwrap();
        let (partition, _) = open(dir.path(), sync);
        let waiter = wait(&partition, "blpop q 0");
        let replies = run(&partition, &["rpush q a", "lpop q", "set x 1"]).unwrap();
        assert_eq!(replies, ":1|$-1|+OK|");
        assert_eq!(waiter.recv().unwrap().unwrap(), "*2|$1|q|$1|a|");
        assert_eq!(logged(&partition), [["rpush"], ["blpop"], ["set"]]);
    }
}

#[test]
fn within_a_transaction_who_waits_waits_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let waiter = wait(&partition, "blpop q 0");
    let (task, done) = Lines::boxed(&["rpush q a b", "lpop q", "llen q"], true);
    partition.submit(&mut vec![task]);
    assert_eq!(done.recv().unwrap().unwrap(), ":2|$1|a|:1|");
    assert_eq!(waiter.recv().unwrap().unwrap(), "*2|$1|q|$1|b|");
    assert_eq!(logged(&partition), [vec!["rpush", "lpop"], vec!["blpop"]]);
}

#[test]
fn what_a_served_command_makes_ready_serves_others() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let last = wait(&partition, "blpop c 0");
    let second = wait(&partition, "blmove b c left left 0");
    let first = wait(&partition, "blmove a b left left 0");
    assert_eq!(run(&partition, &["rpush a 1", "exists a b c"]).unwrap(), ":1|:0|");
    assert_eq!(first.recv().unwrap().unwrap(), "$1|1|");
    assert_eq!(second.recv().unwrap().unwrap(), "$1|1|");
    assert_eq!(last.recv().unwrap().unwrap(), "*2|$1|c|$1|1|");
    assert_eq!(logged(&partition), [["rpush"], ["blmove"], ["blmove"], ["blpop"]]);
    assert_eq!(partition.stats().blocked_clients, 0);
}

#[test]
fn who_waits_for_several_keys_is_served_from_the_first_that_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let waiter = wait(&partition, "blpop a b c 0");
    let (task, done) = Lines::boxed(&["rpush c 3", "rpush a 1"], true);
    partition.submit(&mut vec![task]);
    done.recv().unwrap().unwrap();
    assert_eq!(waiter.recv().unwrap().unwrap(), "*2|$1|c|$1|3|");
    assert_eq!(read(&partition, "llen a"), ":1|");
}

#[test]
fn a_key_of_another_type_serves_those_who_wait_for_that() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let zset = wait(&partition, "bzpopmin k 0");
    let list = wait(&partition, "blpop k 0");
    run(&partition, &["rpush k a"]).unwrap();
    assert_eq!(list.recv().unwrap().unwrap(), "*2|$1|k|$1|a|");
    assert!(zset.try_recv().is_err());
    run(&partition, &["zadd k 1 m"]).unwrap();
    assert_eq!(zset.recv().unwrap().unwrap(), "*3|$1|k|$1|m|$1|1|");
}

/// Waits for a list; counts how often anybody is asked to take something, and takes nothing unless `served`.
struct Asked {
    client: u64,
    asked: Arc<AtomicUsize>,
}

impl Task for Asked {
    fn client(&self) -> u64 {
        self.client
    }

    fn evaluate(&mut self, _: &mut Turn<'_>) -> Step {
        Step::Blocked(Awaited {
            db: 0,
            keys: vec![b"q".to_vec()],
            kind: Some(Kind::List),
        })
    }

    fn serve(&mut self, turn: &mut Turn<'_>, key: &[u8]) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let taken = turn.internal("lpop", 0, |cx| {
            let row = cx.row(key)?.expect("a key that is ready");
            cx.delete(key, row.header)
        });
        taken.is_ok()
    }

    fn unblock(&mut self, _: Option<CommandError>) {}

    fn finish(self: Box<Self>, _: Result<(), &CommitError>) {}
}

#[test]
fn a_push_asks_as_many_as_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = open(dir.path(), SyncPolicy::EverySec);
    let asked = Arc::new(AtomicUsize::new(0));
    let waiters = 3000;
    let mut tasks: Vec<Box<dyn Task>> = (0..waiters)
        .map(|n| -> Box<dyn Task> {
            Box::new(Asked {
                client: 1 << 32 | n,
                asked: asked.clone(),
            })
        })
        .collect();
    partition.submit(&mut tasks);
    // These wait for something else.
    let others: Vec<_> = (0..100).map(|_| wait(&partition, "bzpopmin q 0")).collect();
    assert_eq!(partition.stats().blocked_clients, 3100);
    run(&partition, &["rpush q a b c"]).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the first has taken everything");
    run(&partition, &["set other 1", "rpush q a", "rpush q b"]).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(partition.stats().blocked_clients, 3097);
    for n in 3..waiters {
        assert!(partition.hold().unblock(1 << 32 | n, None), "{n}");
    }
    run(&partition, &["rpush q a"]).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    drop(others);
}
