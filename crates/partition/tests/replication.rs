//! A partition that follows another: entries, roles, epochs, the installation of a checkpoint.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use haypile_commands::table;
use haypile_oplog::{OwnedEntry, SyncPolicy};
use haypile_partition::{Call, Options, Partition, ReplicatedEntry, ReplicatedError, Role, Turn, install};
use haypile_resp::{Reply, Request, Version};
use haypile_store::{SharedResources, StoreOptions, Tier};
use haypile_sync::common_point;
use haypile_types::{Position, Random, SystemClock};

struct Counting(u64);

impl Random for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0
    }
}

fn log_options() -> haypile_oplog::Options {
    haypile_oplog::Options {
        sync: SyncPolicy::EverySec,
        segment_bytes: 1 << 20,
        ..Default::default()
    }
}

fn open(dir: &Path, role: Role, seed: u64) -> Partition {
    let options = Options {
        dir: dir.to_owned(),
        role,
        store: StoreOptions::default(),
        oplog: log_options(),
        shared: SharedResources::new(16 << 20, 4 << 20),
        clock: Arc::new(SystemClock),
        random: Box::new(Counting(seed)),
        uncommitted_bytes_max: 1 << 20,
        unflushed_log_bytes_max: 64 << 20,
        disk_free_bytes_min: 0,
    };
    Partition::open(options).unwrap().0
}

fn run(turn: &mut Turn<'_>, line: &str) -> String {
    let request = Request::from_args(line.split(' '));
    let mut reply = Reply::new(Version::Resp2);
    let outcome = turn.execute(Call {
        command: table::resolve(&request).unwrap(),
        request: &request,
        reply: &mut reply,
        db: 0,
        tier: Tier::Disk,
        waits: false,
        may_block: false,
        random: None,
    });
    match outcome {
        Ok(()) => String::from_utf8(reply.buffer().to_vec()).unwrap().trim().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn say(partition: &Partition, line: &str) -> String {
    partition.run_internal(|turn| run(turn, line)).unwrap()
}

fn entries(partition: &Partition, from: u64) -> Vec<OwnedEntry> {
    let mut reader = partition.readers().reader(from).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn replicated(entry: &OwnedEntry) -> ReplicatedEntry<'_> {
    ReplicatedEntry {
        position: entry.header.position,
        timestamp: entry.header.timestamp,
        payload: &entry.payload,
    }
}

fn catch_up(source: &Partition, follower: &Partition) {
    let from = follower.local_position().end.index + 1;
    follower.set_history(source.history()).unwrap();
    let entries = entries(source, from);
    follower
        .append_replicated(entries.iter().map(replicated), vec![])
        .unwrap();
    assert_eq!(follower.local_position().end, source.local_position().end);
}

#[test]
fn a_follower_has_what_its_source_has_and_takes_no_writes() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open(dirs[0].path(), Role::Leader, 1);
    let follower = open(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    say(&source, "RPUSH l x y z");
    catch_up(&source, &follower);
    assert_eq!(say(&follower, "GET a"), "$1\r\n1");
    assert_eq!(
        say(&follower, "SET a 2"),
        "READONLY You can't write against a read only replica."
    );
    // The writer of the follower reads, learns, and must forget it when more comes.
    assert_eq!(say(&follower, "LRANGE l 0 -1"), say(&source, "LRANGE l 0 -1"));
    say(&source, "LPOP l");
    say(&source, "FLUSHALL");
    say(&source, "RPUSH l q");
    catch_up(&source, &follower);
    assert_eq!(say(&follower, "LRANGE l 0 -1"), "*1\r\n$1\r\nq");
    assert_eq!(follower.counts()[0].keys, 1);
}

#[test]
fn only_what_follows_is_taken_and_only_by_a_follower() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open(dirs[0].path(), Role::Leader, 1);
    let follower = open(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    say(&source, "SET b 1");
    let all = entries(&source, 1);
    let gap = follower.append_replicated(all[1..].iter().map(replicated), vec![]);
    assert!(matches!(gap, Err(ReplicatedError::Order { .. })), "{gap:?}");
    let broken = ReplicatedEntry {
        payload: b"\xff\xff",
        ..replicated(&all[0])
    };
    let corrupt = follower.append_replicated(std::iter::once(broken), vec![]);
    assert!(matches!(corrupt, Err(ReplicatedError::Corrupt { .. })), "{corrupt:?}");
    follower.append_replicated(all.iter().map(replicated), vec![]).unwrap();
    follower.promote().unwrap();
    let late = follower.append_replicated(all.iter().map(replicated), vec![]);
    assert_eq!(late, Err(ReplicatedError::NotFollowing));
}

#[test]
fn a_promoted_follower_writes_in_an_epoch_of_its_own() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open(dirs[0].path(), Role::Leader, 1);
    let follower = open(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    catch_up(&source, &follower);
    let epoch = follower.promote().unwrap();
    assert_eq!((epoch.term, epoch.first_index), (2, 2));
    assert_eq!(follower.promote().unwrap(), epoch, "once is enough");
    say(&source, "SET a old");
    assert_eq!(say(&follower, "SET a new"), "+OK");
    assert_eq!(follower.local_position().end, Position::new(2, 2));
    let (left, right) = (source.local_position(), follower.local_position());
    let common = common_point((&left.history, left.end.index), (&right.history, right.end.index));
    assert_eq!(common, Some(Position::new(1, 1)));
    follower.follow();
    assert!(say(&follower, "SET a 3").starts_with("READONLY"));
}

#[test]
fn a_writer_that_starts_again_begins_an_epoch_and_a_follower_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), Role::Leader, 1);
    say(&first, "SET a 1");
    let before = first.local_position();
    drop(first);
    let follower = open(dir.path(), Role::Follower, 2);
    assert_eq!(follower.local_position().history, before.history);
    drop(follower);
    let second = open(dir.path(), Role::Leader, 3);
    assert_eq!(say(&second, "SET a 2"), "+OK");
    let after = second.local_position();
    assert_eq!(after.history.epochs().len(), 2);
    assert_eq!(after.end, Position::new(2, 2));
    assert_eq!(
        common_point((&before.history, 1), (&after.history, 2)),
        Some(Position::new(1, 1))
    );
}

#[test]
fn a_checkpoint_takes_the_place_of_what_was_there() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open(dirs[0].path(), Role::Leader, 1);
    (0..100).for_each(|n| drop(say(&source, &format!("SET key:{n} {n}"))));
    let old = open(dirs[1].path(), Role::Leader, 2);
    say(&old, "SET other 1");
    drop(old);

    let copy = dirs[0].path().join("copy");
    let position = source.checkpoint(&copy).unwrap();
    let incoming = install::incoming_store(dirs[1].path());
    std::fs::create_dir_all(incoming.parent().unwrap()).unwrap();
    std::fs::rename(copy.join("store"), &incoming).unwrap();
    install::install(dirs[1].path(), position, &source.history(), &log_options()).unwrap();

    let follower = open(dirs[1].path(), Role::Follower, 3);
    assert_eq!(follower.local_position().end, position);
    assert_eq!(follower.local_position().history, source.history());
    assert_eq!(say(&follower, "DBSIZE"), ":100");
    say(&source, "SET more 1");
    catch_up(&source, &follower);
    assert_eq!(say(&follower, "GET more"), "$1\r\n1");
}

#[test]
fn data_without_a_history_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), Role::Leader, 1);
    say(&first, "SET a 1");
    drop(first);
    std::fs::write(dir.path().join("partition.toml"), "format = 1\n").unwrap();
    for role in [Role::Follower, Role::Leader] {
        let partition = open(dir.path(), role, 2);
        let position = partition.local_position();
        assert_eq!(position.history.position_of(1), Some(position.end));
    }
}
