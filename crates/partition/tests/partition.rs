//! A partition as its server uses it: turns, commit, recovery, failed writes, waiting clients.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use haypile_commands::{CommandError, table};
use haypile_oplog::SyncPolicy;
use haypile_partition::{Call, CommitError, Options, Partition, Recovery, Step, Task, Turn};
use haypile_resp::{Reply, Request, Version};
use haypile_store::{SharedResources, StoreOptions, Tier};
use haypile_types::{Random, SystemClock};

struct Counting(u64);

impl Random for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0
    }
}

fn open(dir: &Path, sync: SyncPolicy) -> (Partition, Recovery) {
    let options = Options {
        dir: dir.to_owned(),
        role: haypile_partition::Role::Leader,
        store: StoreOptions::default(),
        oplog: haypile_oplog::Options {
            sync,
            segment_bytes: 1 << 20,
            ..Default::default()
        },
        shared: SharedResources::new(16 << 20, 4 << 20),
        clock: Arc::new(SystemClock),
        // Epochs have random ids: each run of a server has other numbers.
        random: Box::new(Counting(NEXT_RUN.fetch_add(1, Ordering::Relaxed))),
        uncommitted_bytes_max: 1 << 20,
        unflushed_log_bytes_max: 64 << 20,
        disk_free_bytes_min: 0,
    };
    Partition::open(options).unwrap()
}

/// Command lines as one task; sends what it replied.
struct Lines {
    client: u64,
    lines: Vec<String>,
    transaction: bool,
    reply: Reply,
    done: Sender<Result<String, CommitError>>,
}

static NEXT_RUN: AtomicU64 = AtomicU64::new(1);
static NEXT_CLIENT: AtomicU64 = AtomicU64::new(1);

impl Lines {
    fn boxed(lines: &[&str], transaction: bool) -> (Box<dyn Task>, Receiver<Result<String, CommitError>>) {
        let (done, receiver) = channel();
        let lines = lines.iter().map(|l| (*l).to_owned()).collect();
        let client = NEXT_CLIENT.fetch_add(1, Ordering::Relaxed);
        (
            Box::new(Lines {
                client,
                lines,
                transaction,
                reply: Reply::new(Version::Resp2),
                done,
            }),
            receiver,
        )
    }
}

fn execute(turn: &mut Turn<'_>, line: &str, reply: &mut Reply) -> Result<(), CommandError> {
    let request = Request::from_args(line.split(' '));
    let command = table::resolve(&request)?;
    turn.execute(Call {
        command,
        request: &request,
        reply,
        db: 0,
        tier: Tier::Disk,
        waits: false,
        may_block: true,
        random: None,
    })
}

impl Task for Lines {
    fn client(&self) -> u64 {
        self.client
    }

    fn evaluate(&mut self, turn: &mut Turn<'_>) -> Step {
        let Lines {
            lines,
            reply,
            transaction,
            ..
        } = self;
        if *transaction {
            let _ = turn.transaction(|turn| lines.iter().try_for_each(|line| execute(turn, line, reply)));
            return Step::Done;
        }
        for line in lines {
            match execute(turn, line, reply) {
                Ok(()) => {}
                Err(CommandError::Block(block)) => {
                    return Step::Blocked {
                        db: 0,
                        keys: block.keys,
                    };
                }
                Err(error) => reply.error(&error.to_string()),
            }
        }
        Step::Done
    }

    fn unblock(&mut self, _: Option<CommandError>) {
        self.reply.null_array();
    }

    fn finish(self: Box<Self>, outcome: Result<(), &CommitError>) {
        let text = String::from_utf8_lossy(self.reply.buffer()).replace("\r\n", "|");
        let _ = self.done.send(outcome.map(|()| text).map_err(Clone::clone));
    }
}

fn run(partition: &Partition, lines: &[&str]) -> Result<String, CommitError> {
    let (task, done) = Lines::boxed(lines, false);
    partition.submit(&mut vec![task]);
    done.recv().unwrap()
}

fn read(partition: &Partition, line: &str) -> String {
    let request = Request::from_args(line.split(' '));
    let mut reply = Reply::new(Version::Resp2);
    let command = table::resolve(&request).unwrap();
    let call = Call {
        command,
        request: &request,
        reply: &mut reply,
        db: 0,
        tier: Tier::Disk,
        waits: false,
        may_block: false,
        random: None,
    };
    partition.read(call, &mut Counting(1)).unwrap();
    String::from_utf8_lossy(reply.buffer()).replace("\r\n", "|")
}

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
