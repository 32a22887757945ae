//! What of the log is kept for replicas that need it.

use rustix::process::{Pid, Signal, kill_process};

use super::support::{assert_in_sync, field, fill, fill_with, full_syncs, primary, replica_of};
use haypile_testkit::{Server, wait_until};

/// A primary that keeps as little log as it may, and nothing beyond that if `pinned` is 0.
fn forgetful(pinned: &str) -> Server {
    primary(&[
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--oplog-pinned-max-bytes",
        pinned,
    ])
}

/// Writes twice as much log as retention keeps, and has the store save it.
fn write_more_than_is_kept(server: &Server, prefix: &str) {
    for n in 0..8 {
        fill_with(server, &format!("{prefix}{n}"), 1000, 4000);
    }
    assert_eq!(server.client().say("SAVE"), "OK");
}

fn number(server: &Server, name: &str) -> u64 {
    field(&mut server.client(), name).parse().unwrap()
}

/// Starts a replica whose copy stands still as soon as it has begun.
fn copying_slowly(primary: &Server) -> Server {
    let replica = super::support::primary(&["--repl-copy-bytes-per-second", "1kb", "--repl-copy-workers", "1"]);
    fill(&replica, "other", 10);
    let mut client = replica.client();
    client.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    wait_until("the copy", || {
        field(&mut client, "sync_partition0_copy").contains("stage=fetching")
    });
    replica
}

fn signal(server: &Server, signal: Signal) {
    kill_process(Pid::from_raw(server.pid() as i32).unwrap(), signal).unwrap();
}

#[test]
fn the_log_is_kept_for_a_copy_however_long_it_takes() {
    let primary = forgetful("64gb");
    fill(&primary, "a", 20_000);
    let replica = copying_slowly(&primary);
    write_more_than_is_kept(&primary, "b");
    let mut client = primary.client();
    wait_until("log that is kept for the copy", || {
        number(&primary, "oplog_pinned_bytes") > 0
    });
    let pin = field(&mut client, "oplog_pin0");
    assert!(pin.contains("kind=checkpoint") && !pin.contains("bytes=0"), "{pin}");
    replica.client().say("CONFIG SET repl-copy-bytes-per-second 0");
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1);
    wait_until("the end of the pins", || number(&primary, "oplog_pinned_bytes") == 0);
    assert_eq!(number(&primary, "oplog_pins_left_behind"), 0);
}

#[test]
fn past_the_cap_a_copy_is_repeated_and_it_is_said_why() {
    let primary = forgetful("0");
    fill(&primary, "a", 20_000);
    let replica = copying_slowly(&primary);
    write_more_than_is_kept(&primary, "b");
    wait_until("the collection", || number(&primary, "oplog_pins_left_behind") == 1);
    assert!(
        primary
            .log()
            .contains("the log after a checkpoint that replicas copy has been collected")
    );
    assert_eq!(number(&primary, "oplog_pinned_bytes"), 0);
    let mut client = replica.client();
    client.say("CONFIG SET repl-copy-bytes-per-second 0");
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 2);
    let log = replica.log();
    assert!(
        log.contains("another checkpoint is needed right after one was installed"),
        "{log}"
    );
    assert!(log.contains("raise its oplog-pinned-max-bytes"), "{log}");
}

#[test]
fn the_log_is_kept_for_a_replica_that_is_slow() {
    let primary = forgetful("64gb");
    let replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 100);
    assert_in_sync(&primary, &replica);
    signal(&replica, Signal::STOP);
    write_more_than_is_kept(&primary, "b");
    wait_until("log that is kept for it", || number(&primary, "oplog_pinned_bytes") > 0);
    signal(&replica, Signal::CONT);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn the_log_is_kept_for_a_replica_that_is_away_for_a_while() {
    let primary = forgetful("64gb");
    let mut replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 100);
    assert_in_sync(&primary, &replica);
    replica.kill();
    write_more_than_is_kept(&primary, "b");
    wait_until("log that is kept for it", || number(&primary, "oplog_pinned_bytes") > 0);
    assert!(field(&mut primary.client(), "oplog_pin0").contains("kind=away"));
    replica.start_again();
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
    // For so long and not longer.
    wait_until("the end of the pins", || number(&primary, "oplog_pinned_bytes") == 0);
    replica.kill();
    write_more_than_is_kept(&primary, "c");
    wait_until("log that is kept for it", || number(&primary, "oplog_pinned_bytes") > 0);
    primary.client().say("CONFIG SET oplog-pinned-away-seconds 0");
    wait_until("the end of that", || number(&primary, "oplog_pinned_bytes") == 0);
    assert_eq!(
        number(&primary, "oplog_pins_left_behind"),
        0,
        "it was given up, not left behind"
    );
    replica.start_again();
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1);
}
