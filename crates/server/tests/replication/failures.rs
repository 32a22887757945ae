//! Servers that are killed, and a replica that can take no more entries.

use std::time::Duration;

use haypile_oplog::{Oplog, Options};
use haypile_types::Position;
use rustix::process::{Pid, Signal, kill_process};

use super::support::{assert_in_sync, await_error, field, fill, full_syncs, primary, replica_of, wait_for_link};
use haypile_testkit::{Net, Server, Way, Weather, wait_until};

#[test]
fn a_primary_that_was_killed_comes_back() {
    let mut primary = primary(&["--sync", "always"]);
    let replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 200);
    assert_in_sync(&primary, &replica);
    for round in 0..3 {
        primary.kill();
        let mut client = replica.client();
        wait_until("the loss of the link", || {
            field(&mut client, "master_link_status") == "down"
        });
        primary.start_again();
        // It has another port: as in a failover, the replica is told.
        client.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        wait_for_link(&replica);
        fill(&primary, &format!("b{round}"), 100);
        assert_in_sync(&primary, &replica);
    }
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn a_replica_that_is_killed_under_load_loses_nothing() {
    let primary = primary(&[]);
    let mut replica = replica_of(primary.port(), &["--sync", "always"]);
    wait_for_link(&replica);
    for round in 0..4 {
        fill(&primary, &format!("a{round}"), 2000);
        replica.kill();
        fill(&primary, &format!("b{round}"), 500);
        replica.start_again();
        wait_for_link(&replica);
    }
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

/// A defect at entries from the primary stops a replica for a moment only: it asks for a full sync. Not for one after another.
#[test]
fn a_replica_that_can_take_no_more_entries_takes_a_full_sync() {
    for args in [
        ["--io-threads", "1", "--sync", "everysec"],
        ["--io-threads", "4", "--sync", "always"],
    ] {
        let primary = primary(&args);
        fill(&primary, "a", 100);
        let replica = replica_of(primary.port(), &args);
        assert_in_sync(&primary, &replica);
        let before = full_syncs(&replica);
        let mut client = replica.client();
        assert_eq!(client.say("DEBUG PANIC-IN-REPLAY"), "OK");
        fill(&primary, "b", 10);
        wait_until("a full sync", || field(&mut client, "sync_poisoned_copies") == "1");
        assert_in_sync(&primary, &replica);
        assert_eq!(client.say("EXISTS a:0 b:9"), "2");
        assert_eq!(full_syncs(&replica), before + 1);
        // The next one has to wait, and what is there can be read.
        assert_eq!(client.say("DEBUG PANIC-IN-REPLAY"), "OK");
        fill(&primary, "c", 10);
        await_error(
            &replica,
            "no more entries are taken: another checkpoint is needed right after one was installed",
        );
        assert_eq!(client.say("EXISTS a:0 b:9"), "2");
        assert_eq!(field(&mut client, "sync_poisoned_copies"), "1");
        // Unless a person says so.
        let again = format!("REPLICAOF 127.0.0.1 {}", primary.port());
        assert_eq!(client.say(&again), "OK");
        assert_in_sync(&primary, &replica);
        assert_eq!(client.say("EXISTS a:0 b:9 c:9"), "3");
        assert_eq!(field(&mut client, "sync_poisoned_copies"), "2");
    }
}

/// It was stopped, or stopped by somebody, before it could ask for a full sync: the log on its disk has an entry that it cannot apply.
#[test]
fn a_replica_that_cannot_apply_its_log_starts_all_the_same_and_takes_a_full_sync() {
    let primary = primary(&[]);
    let mut writer = primary.client();
    assert_eq!(writer.say("SET a 1"), "OK");
    let mut replica = replica_of(primary.port(), &[]);
    assert_in_sync(&primary, &replica);
    let before = full_syncs(&replica);
    replica.stop();
    // In its place the primary has another.
    assert_eq!(writer.say("SET b 2"), "OK");
    {
        let dir = replica.dir().join("partitions/0/oplog");
        let (mut log, opened) = Oplog::open(&dir, Options::default()).unwrap();
        let next = Position::new(opened.last.term, opened.last.index + 1);
        // A patch of a list, about a string.
        let key = haypile_store::keys::meta_key(b"a");
        let payload = [
            &[11, 0, 0, key.len() as u8][..],
            &key,
            b"\x08\x32\x01\x04\x03\x02\x01a\x00",
        ]
        .concat();
        log.push(next, 0, &payload);
        log.write().unwrap();
        log.close().unwrap();
    }
    replica.start_again();
    assert_in_sync(&primary, &replica);
    let mut client = replica.client();
    assert_eq!(
        (client.say("GET a"), client.say("GET b")),
        ("\"1\"".into(), "\"2\"".into())
    );
    assert_eq!(field(&mut client, "sync_poisoned_copies"), "1");
    let log = replica.log();
    assert!(log.contains("the end of the log cannot be applied"), "{log}");
    assert!(log.contains("the replica takes no more entries"), "{log}");
    assert_eq!(full_syncs(&replica), before + 1, "{log}");
}

#[test]
fn other_databases_are_other_tables() {
    let mut first = primary(&["--databases", "4"]);
    first.client().say("SELECT 3");
    first.client().say("FLUSHALL");
    fill(&first, "a", 10);
    let replica = replica_of(first.port(), &[]);
    let mut client = replica.client();
    wait_until("the error", || {
        field(&mut client, "sync_instance_last_error").contains(
            "the tables differ: the primary has 4 databases and the replica 16: restart the primary with --databases 16",
        )
    });
    assert_eq!(field(&mut client, "sync_instance_state"), "Error");
    assert!(first.log().contains("the primary has 4 databases"));
    // What the error advises helps.
    first.set_args(&["--databases", "16", "--enable-debug-command", "yes"]);
    first.restart();
    client.say(&format!("REPLICAOF 127.0.0.1 {}", first.port()));
    assert_in_sync(&first, &replica);
    let mut writer = first.client();
    writer.say("SELECT 4");
    writer.say("SET in 4");
    assert_in_sync(&first, &replica);
    client.say("SELECT 4");
    assert_eq!(client.say("GET in"), "\"4\"");
    let mut other = replica.client();
    assert_eq!(other.say("GET in"), "nil", "not in database 0");
}

/// Databases that are added at a start are the same ones on both sides, whatever was flushed before.
#[test]
fn databases_are_added_to_both_sides() {
    let mut first = primary(&["--databases", "4"]);
    let mut replica = replica_of(first.port(), &["--databases", "4"]);
    fill(&first, "a", 10);
    assert_in_sync(&first, &replica);
    replica.stop();
    // The replica does not know of this yet when it gets its new databases.
    let mut writer = first.client();
    writer.say("FLUSHALL");
    fill(&first, "b", 10);
    first.set_args(&["--databases", "16", "--enable-debug-command", "yes"]);
    first.restart();
    let mut writer = first.client();
    for db in 0..16 {
        writer.say(&format!("SELECT {db}"));
        writer.say(&format!("SET in {db}"));
    }
    let address = format!("127.0.0.1 {}", first.port());
    replica.set_args(&[
        "--replicaof",
        &address,
        "--databases",
        "16",
        "--enable-debug-command",
        "yes",
    ]);
    replica.start_again();
    assert_in_sync(&first, &replica);
    assert_eq!(full_syncs(&replica), 0);
    let mut reader = replica.client();
    for db in 0..16 {
        reader.say(&format!("SELECT {db}"));
        assert_eq!(reader.say("GET in"), format!("\"{db}\""));
    }
}

/// Sends a signal to a server.
fn signal(server: &haypile_testkit::Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_primary_that_stands_still_for_longer_than_the_timeout_is_followed_again() {
    let primary = primary(&["--repl-timeout", "1"]);
    let replica = replica_of(primary.port(), &["--repl-timeout", "1"]);
    fill(&primary, "a", 100);
    assert_in_sync(&primary, &replica);
    signal(&primary, Signal::STOP);
    let mut client = replica.client();
    wait_until("the loss of the link", || {
        field(&mut client, "master_link_status") == "down"
    });
    wait_until("a reason", || {
        !field(&mut client, "sync_instance_last_error").is_empty()
    });
    signal(&primary, Signal::CONT);
    fill(&primary, "b", 100);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn a_replica_that_stands_still_is_given_up_and_comes_back() {
    let primary = primary(&["--repl-timeout", "1"]);
    let replica = replica_of(primary.port(), &["--repl-timeout", "1"]);
    fill(&primary, "a", 100);
    assert_in_sync(&primary, &replica);
    signal(&replica, Signal::STOP);
    let mut client = primary.client();
    wait_until("the end of the session", || {
        field(&mut client, "connected_slaves") == "0"
    });
    fill(&primary, "b", 5000);
    signal(&replica, Signal::CONT);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

/// Wherever a replica is killed in a full sync, it has the old data or the new afterwards, and ends in sync.
#[test]
fn a_full_sync_survives_kills_at_any_moment() {
    let primary = primary(&["--oplog-segment-bytes", "1mb"]);
    fill(&primary, "a", 5000);
    let address = format!("127.0.0.1 {}", primary.port());
    let mut replica = super::support::primary(&["--oplog-segment-bytes", "1mb"]);
    fill(&replica, "other", 1000);
    replica.stop();
    replica.set_args(&[
        "--replicaof",
        &address,
        "--oplog-segment-bytes",
        "1mb",
        "--enable-debug-command",
        "yes",
    ]);
    for round in 0..12 {
        let errors = replica.start_and_kill(Duration::from_millis(60 + 25 * round));
        assert!(!errors.contains("panicked"), "{errors}");
    }
    replica.start_again();
    assert_in_sync(&primary, &replica);
}

/// TCP's checksum is weak: what a stream brings is checked again before it is logged for good.
#[test]
fn bits_that_are_flipped_on_the_way_change_nothing() {
    let net = Net::claim();
    let mut primary = Server::stopped(&["--enable-debug-command", "yes"]);
    primary.set_address(net.address(1));
    primary.start_again();
    let link = net.link(2, net.address(1));
    let replica = super::support::primary(&[]);
    let mut client = replica.client();
    let address = link.address();
    client.say(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    wait_for_link(&replica);
    link.set(Weather {
        damage: Some((Way::Back, 20_000)),
        ..Weather::CLEAR
    });
    for n in 0..20 {
        fill(&primary, &format!("a{n}"), 200);
    }
    wait_until("some damage", || link.damaged() >= 3);
    wait_until("the error", || {
        !field(&mut client, "sync_partition0_last_error").is_empty()
            || !field(&mut client, "sync_instance_last_error").is_empty()
    });
    link.set(Weather::CLEAR);
    assert_in_sync(&primary, &replica);
}
