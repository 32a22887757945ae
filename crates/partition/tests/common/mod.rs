//! Tasks of command lines, run in a partition in a temporary directory.

// Each test program uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use haypile_commands::{Block, CommandError, table};
use haypile_oplog::{OwnedEntry, SyncPolicy};
use haypile_partition::{Awaited, Call, CommitError, Options, Partition, Recovery, Role, Step, Task, Turn};
use haypile_resp::{Reply, Request, Version};
use haypile_store::{SharedResources, StoreOptions, Tier};
use haypile_sync::Tenure;
use haypile_types::{Random, SystemClock};

pub struct Counting(pub u64);

impl Random for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0
    }
}

/// The tenure of the role in which partitions are opened.
pub const FIRST: Tenure = Tenure(1);

/// Opens a partition that writes its own log.
pub fn open(dir: &Path, sync: SyncPolicy) -> (Partition, Recovery) {
    // Epochs have random ids: each run of a server has other numbers.
    let seed = NEXT_RUN.fetch_add(1, Ordering::Relaxed);
    Partition::open(options(dir, Role::Leader, sync, seed)).unwrap()
}

/// Opens a partition in a role, with random numbers of its own.
pub fn open_as(dir: &Path, role: Role, seed: u64) -> Partition {
    Partition::open(options(dir, role, SyncPolicy::EverySec, seed))
        .unwrap()
        .0
}

pub fn options(dir: &Path, role: Role, sync: SyncPolicy, seed: u64) -> Options {
    Options {
        dir: dir.to_owned(),
        role,
        tenure: FIRST,
        group: None,
        store: StoreOptions::default(),
        oplog: log_options(sync),
        shared: SharedResources::new(16 << 20, 4 << 20),
        clock: Arc::new(SystemClock),
        random: Box::new(Counting(seed)),
        uncommitted_bytes_max: 1 << 20,
        unflushed_log_bytes_max: 64 << 20,
        disk_free_bytes_min: 0,
    }
}

/// How a partition's log is kept.
pub fn log_options(sync: SyncPolicy) -> haypile_oplog::Options {
    haypile_oplog::Options {
        sync,
        segment_bytes: 1 << 20,
        ..Default::default()
    }
}

/// A request about database 0 that may read from the disk and does not wait.
fn call<'a>(request: &'a Request, reply: &'a mut Reply) -> Call<'a> {
    Call {
        command: table::resolve(request).unwrap(),
        request,
        reply,
        db: 0,
        tier: Tier::Disk,
        ready_key: None,
        may_block: false,
        random: None,
    }
}

/// Evaluates a line within a turn: its reply, or its error.
pub fn run_line(turn: &mut Turn<'_>, line: &str) -> String {
    let request = Request::from_args(line.split(' '));
    let mut reply = Reply::new(Version::Resp2);
    let outcome = turn.execute(call(&request, &mut reply));
    match outcome {
        Ok(()) => String::from_utf8_lossy(reply.buffer()).trim().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The log from an index on.
pub fn entries(partition: &Partition, from: u64) -> Vec<OwnedEntry> {
    let mut reader = partition.readers().reader(from).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// What the client of a task is sent at its end.
pub type Replied = Result<String, CommitError>;

/// Command lines as one task; sends what it replied. The line `panic` panics.
pub struct Lines {
    client: u64,
    lines: Vec<String>,
    transaction: bool,
    reply: Reply,
    done: Sender<Replied>,
}

static NEXT_RUN: AtomicU64 = AtomicU64::new(1);
static NEXT_CLIENT: AtomicU64 = AtomicU64::new(1);

impl Lines {
    pub fn boxed(lines: &[&str], transaction: bool) -> (Box<dyn Task>, Receiver<Replied>) {
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

fn execute(turn: &mut Turn<'_>, line: &str, reply: &mut Reply, ready: Option<&[u8]>) -> Result<(), CommandError> {
    let request = Request::from_args(line.split(' '));
    let command = table::resolve(&request)?;
    turn.execute(Call {
        command,
        request: &request,
        reply,
        db: 0,
        tier: Tier::Disk,
        ready_key: ready,
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
            let _ = turn.transaction(|turn| {
                lines.iter().try_for_each(|line| {
                    assert_ne!(line, "panic", "as the test wants it");
                    execute(turn, line, reply, None)
                })
            });
            return Step::Done;
        }
        for line in lines {
            assert_ne!(line, "panic", "as the test wants it");
            match execute(turn, line, reply, None) {
                Ok(()) => {
                    turn.serve_waiting();
                }
                Err(CommandError::Block(Block { keys, kind, .. })) => {
                    return Step::Blocked(Awaited { db: 0, keys, kind });
                }
                Err(error) => reply.error(&error.to_string()),
            }
        }
        Step::Done
    }

    fn serve(&mut self, turn: &mut Turn<'_>, key: &[u8]) -> bool {
        assert_eq!(self.lines.len(), 1, "a line that waits comes alone");
        match execute(turn, &self.lines[0], &mut self.reply, Some(key)) {
            Ok(()) => true,
            Err(CommandError::Block(_)) => false,
            Err(error) => {
                self.reply.error(&error.to_string());
                true
            }
        }
    }

    fn unblock(&mut self, _: Option<CommandError>) {
        self.reply.null_array();
    }

    fn finish(self: Box<Self>, outcome: Result<(), &CommitError>) {
        let text = String::from_utf8_lossy(self.reply.buffer()).replace("\r\n", "|");
        let _ = self.done.send(outcome.map(|()| text).map_err(Clone::clone));
    }
}

/// Runs lines as one task.
pub fn run(partition: &Partition, lines: &[&str]) -> Replied {
    let (task, done) = Lines::boxed(lines, false);
    partition.submit(&mut vec![task]);
    done.recv().unwrap()
}

/// Runs a line that reads, outside of a turn.
pub fn read(partition: &Partition, line: &str) -> String {
    try_read(partition, line).unwrap()
}

/// The same; it may be refused.
pub fn try_read(partition: &Partition, line: &str) -> Result<String, CommandError> {
    let request = Request::from_args(line.split(' '));
    let mut reply = Reply::new(Version::Resp2);
    partition.read(call(&request, &mut reply), &mut Counting(1))?;
    Ok(String::from_utf8_lossy(reply.buffer()).replace("\r\n", "|"))
}
