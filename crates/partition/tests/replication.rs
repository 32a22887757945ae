//! A partition that follows another: entries, roles, epochs, the installation of a checkpoint.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{Arc, Mutex};

use haypile_oplog::{OwnedEntry, SyncPolicy};
use haypile_partition::{Event, Hooks, Partition, ReplicatedEntry, ReplicatedError, Role, Turn, WatchFlag, install};
use haypile_store::effects::{Effect, Effects};
use haypile_sync::message::Message;
use haypile_sync::{Tenure, common_point};
use haypile_types::Position;

use common::{FIRST, entries, log_options, open_as, run_line};

fn say(partition: &Partition, line: &str) -> String {
    partition.run_internal(|turn| run_line(turn, line)).unwrap()
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
    follower.set_history(FIRST, source.history(), from - 1).unwrap();
    let entries = entries(source, from);
    follower
        .append_replicated(FIRST, entries.iter().map(replicated), vec![])
        .unwrap();
    assert_eq!(follower.local_position().end, source.local_position().end);
}

#[test]
fn a_follower_has_what_its_source_has_and_takes_no_writes() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
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

/// An entry whose effects can be read and do not go together with what there is: a patch of a list about a string.
fn unfit() -> Vec<u8> {
    let key = haypile_store::keys::meta_key(b"a");
    let patch = b"\x32\x01\x04\x03\x02\x01a\x00";
    let mut payload = vec![11, 0, 0, key.len() as u8];
    payload.extend_from_slice(&key);
    payload.push(patch.len() as u8);
    payload.extend_from_slice(patch);
    payload
}

#[test]
fn a_follower_whose_log_cannot_be_applied_shows_what_comes_before_and_asks_for_a_checkpoint() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    catch_up(&source, &follower);
    let end = follower.local_position().end;
    let history = follower.history();
    follower.store().flush().unwrap();
    drop(follower);
    let next = Position::new(end.term, end.index + 1);
    {
        let log = dirs[1].path().join("oplog");
        let (mut log, _) = haypile_oplog::Oplog::open(&log, log_options(SyncPolicy::Os)).unwrap();
        log.push(next, 0, &unfit());
        log.write().unwrap();
        log.close().unwrap();
    }
    for seed in 3..5 {
        let follower = open_as(dirs[1].path(), Role::Follower, seed);
        assert_eq!(say(&follower, "GET a"), "$1\r\n1");
        let position = follower.local_position();
        assert!(position.poisoned);
        assert_eq!((position.end, position.applied), (next, end.index));
        assert_eq!(position.history, history, "its source must find it in its own history");
        let entry = ReplicatedEntry {
            position: Position::new(next.term, next.index + 1),
            timestamp: 0,
            payload: &[],
        };
        let refused = follower.append_replicated(FIRST, [entry].into_iter(), vec![]);
        assert!(matches!(refused, Err(ReplicatedError::Commit(_))), "{refused:?}");
    }
    // A primary has nobody to ask.
    assert!(std::panic::catch_unwind(|| open_as(dirs[1].path(), Role::Leader, 5)).is_err());
}

#[test]
fn a_follower_keeps_nothing_that_it_computed() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    say(&source, "PFADD h a b c");
    catch_up(&source, &follower);
    let end = follower.local_position().end;
    let mut counted = String::new();
    let transaction = follower.run_internal(|turn| {
        turn.transaction(|turn| {
            counted = run_line(turn, "PFCOUNT h");
            Ok::<(), ()>(())
        })
    });
    assert_eq!(transaction, Ok(Ok(())));
    assert_eq!(counted, ":3");
    assert_eq!(follower.local_position().end, end, "its log is its source's");
    // The source does keep it.
    assert_eq!(say(&source, "PFCOUNT h"), ":3");
    assert_eq!(source.local_position().end.index, end.index + 1);
}

#[test]
fn entries_fail_the_transactions_that_watch_what_they_change() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    let watch = |key: &str| {
        let flag = Arc::new(WatchFlag::default());
        let lives = follower.run_internal(|turn| turn.watch(0, key.as_bytes(), &flag));
        (flag, lives.unwrap().unwrap())
    };
    for line in ["SET elsewhere 1", "SWAPDB 0 1", "SET there 1", "SET expired 1 PX 1"] {
        say(&source, line);
    }
    catch_up(&source, &follower);
    while say(&follower, "EXISTS expired") != ":0" {
        std::thread::yield_now();
    }
    let (expired, lives) = watch("expired");
    assert!(!lives);
    let (there, lives) = watch("there");
    assert!(lives);
    let (elsewhere, _) = watch("elsewhere");
    let (nowhere, _) = watch("nowhere");
    say(&source, "DEL expired");
    catch_up(&source, &follower);
    assert!(!expired.is_dirty(), "it was gone already");
    say(&source, "SWAPDB 0 1");
    catch_up(&source, &follower);
    assert!(there.is_dirty() && elsewhere.is_dirty());
    assert!(!nowhere.is_dirty() && !expired.is_dirty());
    let (elsewhere, _) = watch("elsewhere");
    say(&source, "FLUSHALL");
    say(&source, "SET expired 2");
    catch_up(&source, &follower);
    assert!(elsewhere.is_dirty() && expired.is_dirty() && !nowhere.is_dirty());
}

#[test]
fn only_what_follows_is_taken_and_only_by_a_follower() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    say(&source, "SET b 1");
    let all = entries(&source, 1);
    let gap = follower.append_replicated(FIRST, all[1..].iter().map(replicated), vec![]);
    assert!(matches!(gap, Err(ReplicatedError::Order { .. })), "{gap:?}");
    let broken = ReplicatedEntry {
        payload: b"\xff\xff",
        ..replicated(&all[0])
    };
    let corrupt = follower.append_replicated(FIRST, std::iter::once(broken), vec![]);
    assert!(matches!(corrupt, Err(ReplicatedError::Corrupt { .. })), "{corrupt:?}");
    follower
        .append_replicated(FIRST, all.iter().map(replicated), vec![])
        .unwrap();
    follower.role_change().promote(Tenure(2)).unwrap();
    let late = follower.append_replicated(FIRST, all.iter().map(replicated), vec![]);
    assert_eq!(late, Err(ReplicatedError::NotFollowing));
}

#[test]
fn who_worked_for_an_earlier_role_can_do_nothing() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    catch_up(&source, &follower);
    let promised = source.history();
    follower.role_change().promote(Tenure(2)).unwrap();
    say(&follower, "SET a own");
    follower.role_change().follow(Tenure(3));
    let before = follower.local_position();

    // The stream of the first tenure goes on: what it was told held for the log that there was.
    say(&source, "SET a 2");
    let late = entries(&source, 2);
    let appended = follower.append_replicated(FIRST, late.iter().map(replicated), vec![]);
    assert_eq!(appended, Err(ReplicatedError::NotFollowing));
    assert!(follower.set_history(FIRST, promised.clone(), 2).is_err());
    // Nor does the present one set a history for a log that ends elsewhere, or that is another.
    assert!(follower.set_history(Tenure(3), promised.clone(), 1).is_err());
    assert!(follower.set_history(Tenure(3), promised, 2).is_err());
    assert_eq!(follower.local_position(), before);
    assert_eq!(say(&follower, "GET a"), "$3\r\nown");
}

#[test]
fn a_promoted_follower_writes_in_an_epoch_of_its_own() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    say(&source, "SET a 1");
    catch_up(&source, &follower);
    let epoch = follower.role_change().promote(Tenure(2)).unwrap();
    assert_eq!((epoch.term, epoch.first_index), (2, 2));
    say(&source, "SET a old");
    assert_eq!(say(&follower, "SET a new"), "+OK");
    assert_eq!(follower.local_position().end, Position::new(2, 2));
    let (left, right) = (source.local_position(), follower.local_position());
    let common = common_point((&left.history, left.end.index), (&right.history, right.end.index));
    assert_eq!(common, Some(Position::new(1, 1)));
    follower.role_change().follow(Tenure(3));
    assert!(say(&follower, "SET a 3").starts_with("READONLY"));
}

#[test]
fn a_writer_that_starts_again_begins_an_epoch_and_a_follower_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_as(dir.path(), Role::Leader, 1);
    say(&first, "SET a 1");
    let before = first.local_position();
    drop(first);
    let follower = open_as(dir.path(), Role::Follower, 2);
    assert_eq!(follower.local_position().history, before.history);
    drop(follower);
    let second = open_as(dir.path(), Role::Leader, 3);
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
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    (0..100).for_each(|n| drop(say(&source, &format!("SET key:{n} {n}"))));
    let old = open_as(dirs[1].path(), Role::Leader, 2);
    say(&old, "SET other 1");
    let replica = old.replica_id();
    drop(old);

    let copy = dirs[0].path().join("copy");
    let position = source.checkpoint(&copy).unwrap();
    let incoming = install::incoming_store(dirs[1].path());
    std::fs::create_dir_all(incoming.parent().unwrap()).unwrap();
    std::fs::rename(copy.join("store"), &incoming).unwrap();
    install::install(
        dirs[1].path(),
        position,
        &source.history(),
        &log_options(SyncPolicy::EverySec),
    )
    .unwrap();

    let follower = open_as(dirs[1].path(), Role::Follower, 3);
    assert_eq!(follower.replica_id(), replica, "the same replica with other data");
    assert_ne!(replica, source.replica_id());
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
    let first = open_as(dir.path(), Role::Leader, 1);
    say(&first, "SET a 1");
    drop(first);
    std::fs::write(dir.path().join("partition.toml"), "format = 3\n").unwrap();
    let mut replica = None;
    for role in [Role::Follower, Role::Leader] {
        let partition = open_as(dir.path(), role, 2);
        assert_eq!(*replica.get_or_insert(partition.replica_id()), partition.replica_id());
        let position = partition.local_position();
        assert_eq!(position.history.position_of(1), Some(position.end));
    }
}

#[derive(Default)]
struct Hearing(Mutex<Vec<Event>>, Mutex<Vec<Message>>);

impl Hooks for Hearing {
    fn log_needed_from(&self, _first: u64) -> Option<u64> {
        None
    }

    fn events(&self, events: Vec<Event>) {
        self.0.lock().unwrap().extend(events);
    }

    fn relay(&self, messages: &mut dyn Iterator<Item = &Message>) {
        self.1.lock().unwrap().extend(messages.cloned());
    }

    fn take_back(&self, _: u64) {}
}

fn text(event: &Event) -> String {
    match event {
        Event::Key { event, db, key } => format!("{} {} @{db}", event.name(), String::from_utf8_lossy(key)),
        Event::Message(message) => format!("{} after {}", String::from_utf8_lossy(&message.payload), message.after),
    }
}

fn listen(partition: &Partition) -> Arc<Hearing> {
    let hearing = Arc::new(Hearing::default());
    partition.set_hooks(hearing.clone());
    partition.set_notify(u32::MAX);
    hearing
}

#[test]
fn what_commands_raise_as_a_rule_costs_nothing_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open_as(dir.path(), Role::Leader, 1);
    let mut next = 1;
    for (line, events) in [
        ("SET a 1", 0),
        ("SET a 2", 0),
        ("INCR n", 0),
        ("APPEND a x", 0),
        ("SETBIT b 1 1", 0),
        ("LPUSH l a b c", 0),
        ("RPUSH l d", 0),
        ("LPOP l", 0),
        ("RPOP l 2", 0),
        ("HSET h f v", 0),
        ("HDEL h f", 1),
        ("SADD s a b", 0),
        ("SPOP s", 0),
        ("ZADD z 1 a 2 b", 0),
        ("ZINCRBY z 1 a", 0),
        ("ZPOPMIN z", 0),
        ("EXPIRE a 1000", 0),
        ("PERSIST a", 0),
        ("PFADD p a", 0),
        ("SET a 1 EX 1000", 1),
        ("MSET a 1 b 2 c 3", 3),
        ("DEL a b c", 2),
    ] {
        say(&partition, line);
        let logged = entries(&partition, next);
        next += logged.len() as u64;
        let effects = logged.iter().flat_map(|entry| Effects::new(&entry.payload));
        let told: Vec<_> = effects
            .map(Result::unwrap)
            .filter(|effect| match effect {
                Effect::EventOfRow { .. } => true,
                Effect::Event { .. } => panic!("{line}: {effect:?} repeats a key"),
                _ => false,
            })
            .collect();
        assert_eq!(told.len(), events, "{line}: {told:?}");
    }
}

#[test]
fn events_and_messages_keep_their_order() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let source = open_as(dirs[0].path(), Role::Leader, 1);
    let follower = open_as(dirs[1].path(), Role::Follower, 2);
    let hearing = listen(&source);
    let heard = listen(&follower);
    let publish = |turn: &mut Turn<'_>, text: &'static str| turn.publish(false, "c".into(), text.into());
    // Two entries of one turn, then one of a transaction; a transaction without effects is none.
    let run = |turn: &mut Turn<'_>| {
        publish(turn, "first");
        run_line(turn, "SET a 1");
        publish(turn, "second");
        run_line(turn, "SET b 1");
        let outcome = turn.transaction(|turn| {
            run_line(turn, "SET c 1");
            publish(turn, "third");
            run_line(turn, "DEL c");
            publish(turn, "fourth");
            Ok::<(), ()>(())
        });
        outcome.unwrap();
        let outcome = turn.transaction(|turn| {
            publish(turn, "fifth");
            Ok::<(), ()>(())
        });
        outcome.unwrap();
    };
    source.run_internal(run).unwrap();
    let expected = [
        "first after 0",
        "new a @0",
        "set a @0",
        "second after 1",
        "new b @0",
        "set b @0",
        "new c @0",
        "set c @0",
        "third after 3",
        "del c @0",
        "fourth after 3",
        "fifth after 3",
    ];
    let told = std::mem::take(&mut *hearing.0.lock().unwrap());
    assert_eq!(told.iter().map(text).collect::<Vec<_>>(), expected);
    // They travel apart from the entries.
    let messages = std::mem::take(&mut *hearing.1.lock().unwrap());
    follower
        .set_history(FIRST, source.history(), follower.local_position().end.index)
        .unwrap();
    let logged = entries(&source, 1);
    follower
        .append_replicated(FIRST, logged.iter().map(replicated), messages)
        .unwrap();
    let told = std::mem::take(&mut *heard.0.lock().unwrap());
    assert_eq!(told.iter().map(text).collect::<Vec<_>>(), expected);
    assert!(
        heard.1.lock().unwrap().is_empty(),
        "a follower passes on what it gets, nothing of its own"
    );
    follower.run_internal(|turn| publish(turn, "local")).unwrap();
    let told = std::mem::take(&mut *heard.0.lock().unwrap());
    assert_eq!(told.len(), 1);
    assert!(heard.1.lock().unwrap().is_empty());
}
