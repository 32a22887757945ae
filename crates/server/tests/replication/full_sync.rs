//! Full syncs: other data, a log that has gone, checkpoints that several share.

use super::support::{assert_in_sync, field, fill, fill_with, full_syncs, primary, replica_of, wait_for_link};
use haypile_testkit::wait_until;

#[test]
fn a_server_with_other_data_takes_the_primarys() {
    let first = primary(&[]);
    fill(&first, "mine", 2000);
    let other = primary(&[]);
    fill(&other, "theirs", 300);
    let mut client = other.client();
    let mut watcher = other.client();
    watcher.say("WATCH theirs:1");
    assert_eq!(client.say(&format!("REPLICAOF 127.0.0.1 {}", first.port())), "OK");
    assert_in_sync(&first, &other);
    assert_eq!(full_syncs(&other), 1);
    let stats = first.client().say("INFO stats");
    assert!(
        stats.contains("sync_full:1") && stats.contains("sync_partial_err:1"),
        "{stats}"
    );
    assert_eq!(client.say("GET theirs:1"), "nil");
    watcher.say("MULTI");
    watcher.say("GET mine:1");
    assert_eq!(watcher.say("EXEC"), "nil");
    fill(&first, "more", 100);
    assert_in_sync(&first, &other);
}

#[test]
fn a_replica_that_was_away_for_too_long_copies() {
    let primary = primary(&[
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--oplog-pinned-max-bytes",
        "0",
    ]);
    let mut replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 100);
    assert_in_sync(&primary, &replica);
    replica.stop();
    let mut client = primary.client();
    let offset: u64 = field(&mut client, "master_repl_offset").parse().unwrap();
    for n in 0..8 {
        fill_with(&primary, &format!("b{n}"), 1500, 4000);
    }
    wait_until("the collection of the log", || {
        client.say("SAVE");
        field(&mut client, "repl_backlog_first_byte_offset")
            .parse::<u64>()
            .unwrap()
            > offset + 1
    });
    replica.start_again();
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1);
    replica.restart();
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0, "after the restart it goes on");
}

/// A replica could not go on from a checkpoint that others copy still, when the log after it has been collected.
#[test]
fn a_checkpoint_that_the_log_has_left_behind_is_not_handed_out() {
    let primary = primary(&[
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--oplog-pinned-max-bytes",
        "0",
    ]);
    let address = format!("127.0.0.1 {}", primary.port());
    fill_with(&primary, "a", 1000, 4000);
    let slow = super::support::primary(&["--repl-copy-bytes-per-second", "1kb"]);
    fill(&slow, "other", 10);
    slow.client().say(&format!("REPLICAOF {address}"));
    let mut copying = slow.client();
    wait_until("the beginning of a copy", || {
        field(&mut copying, "sync_partition0_copy").contains("stage=fetching")
    });
    let mut client = primary.client();
    let offset: u64 = field(&mut client, "master_repl_offset").parse().unwrap();
    for n in 0..8 {
        fill_with(&primary, &format!("b{n}"), 1500, 4000);
    }
    wait_until("the collection of the log", || {
        client.say("SAVE");
        let first = field(&mut client, "repl_backlog_first_byte_offset");
        first.parse::<u64>().unwrap() > offset + 1
    });
    let replica = super::support::primary(&[]);
    fill(&replica, "other", 10);
    replica.client().say(&format!("REPLICAOF {address}"));
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1);
}

#[test]
fn several_replicas_copy_at_once_while_clients_write() {
    let primary = primary(&["--oplog-segment-bytes", "1mb"]);
    fill(&primary, "a", 20_000);
    let replicas: Vec<_> = (0..3).map(|_| super::support::primary(&[])).collect();
    for (n, replica) in replicas.iter().enumerate() {
        fill(replica, "other", 10 + n);
        replica.client().say(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    }
    for n in 0..20 {
        fill(&primary, &format!("w{n}"), 500);
    }
    for replica in &replicas {
        assert_in_sync(&primary, replica);
        assert_eq!(full_syncs(replica), 1);
    }
    let made = primary.log().matches("a checkpoint for replicas is made").count();
    assert!(made < 3, "they share: {made}");
    let dir = primary.dir().join("sync-checkpoints");
    wait_until("the end of the checkpoints", || {
        std::fs::read_dir(&dir).unwrap().count() == 0
    });
}

#[test]
fn a_copy_that_was_killed_is_taken_up_again() {
    let primary = primary(&[]);
    fill(&primary, "a", 50_000);
    primary.client().say("SAVE");
    let mut replica = super::support::primary(&["--repl-copy-bytes-per-second", "3mb"]);
    fill(&replica, "other", 10);
    let address = format!("127.0.0.1 {}", primary.port());
    replica.client().say(&format!("REPLICAOF {address}"));
    let mut client = replica.client();
    wait_until("some bytes", || {
        let copy = field(&mut client, "sync_partition0_copy");
        copy.contains("stage=fetching") && !copy.contains("bytes_done=0,")
    });
    assert_ne!(client.say("GET other:1"), "nil", "the old data is served meanwhile");
    replica.kill();
    replica.set_args(&["--replicaof", &address, "--enable-debug-command", "yes"]);
    replica.start_again();
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1);
}

/// What was copied goes when nobody wants it any more, and stays as long as somebody does.
#[test]
fn a_copy_that_is_not_wanted_any_more_leaves_nothing_behind() {
    let primary = primary(&[]);
    fill(&primary, "a", 20_000);
    primary.client().say("SAVE");
    let mut other = super::support::primary(&["--repl-copy-bytes-per-second", "1kb", "--repl-copy-workers", "1"]);
    fill(&other, "other", 10);
    let incoming = other.dir().join("partitions/0/incoming");
    let follow = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    let mut client = other.client();
    client.say(&follow);
    let copying = |server: &haypile_testkit::Server| {
        let mut client = server.client();
        wait_until("the copy", || {
            field(&mut client, "sync_partition0_copy").contains("stage=fetching")
        });
    };
    copying(&other);
    assert!(incoming.exists());
    client.say("REPLICAOF NO ONE");
    wait_until("its end", || !incoming.exists());
    assert_ne!(client.say("GET other:1"), "nil");
    // A start that follows goes on with it, one that does not removes it.
    client.say(&follow);
    copying(&other);
    other.kill();
    let address = format!("127.0.0.1 {}", primary.port());
    other.set_args(&[
        "--replicaof",
        &address,
        "--repl-copy-bytes-per-second",
        "1kb",
        "--repl-copy-workers",
        "1",
    ]);
    other.start_again();
    copying(&other);
    other.kill();
    assert!(incoming.exists());
    other.set_args(&["--replicaof", "no", "one"]);
    other.start_again();
    assert!(!incoming.exists());
    assert_ne!(other.client().say("GET other:1"), "nil");
}

#[test]
fn clients_that_wait_are_told_when_the_role_changes() {
    let first = primary(&[]);
    fill(&first, "a", 10);
    let other = primary(&[]);
    fill(&other, "b", 10);
    let mut waiting = other.client();
    waiting.send(&["BLPOP", "list", "0"]);
    let mut client = other.client();
    wait_until("the wait", || {
        client
            .cmd(&["INFO", "clients"])
            .as_bytes()
            .unwrap()
            .windows(17)
            .any(|w| w == b"blocked_clients:1")
    });
    client.say(&format!("REPLICAOF 127.0.0.1 {}", first.port()));
    assert!(waiting.hear().starts_with("(error) UNBLOCKED force unblock"));
    waiting.assert_closed();
    wait_for_link(&other);
}
