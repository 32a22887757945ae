//! Catching up and following: what comes by the stream of the log.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use super::support::{assert_in_sync, field, fill, full_syncs, primary, replica_of, wait_for_link};
use haypile_testkit::{Client, wait_until};

#[test]
fn a_replica_catches_up_and_follows() {
    let primary = primary(&[]);
    fill(&primary, "before", 1000);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let mut client = primary.client();
    client.say("RPUSH list a b c");
    client.say("HSET hash f v g w");
    client.say("ZADD zset 1 one 2 two");
    client.say("SADD set x y z");
    client.say("SETEX volatile 1000 v");
    client.say("SPOP set");
    client.say("LPOP list");
    client.say("SELECT 3");
    client.say("SET other 1");
    assert_in_sync(&primary, &replica);
    let mut reader = replica.client();
    assert_eq!(reader.say("LRANGE list 0 -1"), "[\"b\", \"c\"]");
    assert_ne!(reader.say("GET before:7"), "nil");
    client.say("FLUSHALL");
    client.say("SWAPDB 0 1");
    client.say("SET after 1");
    assert_in_sync(&primary, &replica);
    assert_eq!(
        full_syncs(&replica),
        0,
        "a log from its beginning is all the data there is"
    );
}

#[test]
fn a_replica_expires_nothing_itself_and_shows_nothing_that_has_expired() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let mut client = primary.client();
    client.say("DEBUG SET-ACTIVE-EXPIRE 0");
    client.say("SET volatile 1 PX 50");
    client.say("SET last 1");
    let mut reader = replica.client();
    wait_until("the last key", || reader.say("GET last") == "\"1\"");
    wait_until("the key's end", || reader.say("GET volatile") == "nil");
    assert_eq!(reader.say("DBSIZE"), "2", "it is there, and invisible");
    assert_eq!(client.say("GET volatile"), "nil");
    client.say("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("the removal", || reader.say("DBSIZE") == "1");
}

#[test]
fn a_replica_of_a_replica_gets_everything() {
    let primary = primary(&[]);
    fill(&primary, "k", 500);
    let middle = replica_of(primary.port(), &[]);
    let last = replica_of(middle.port(), &[]);
    wait_for_link(&last);
    fill(&primary, "more", 500);
    assert_in_sync(&primary, &middle);
    assert_in_sync(&middle, &last);
    assert_in_sync(&primary, &last);
    let mut client = middle.client();
    assert_eq!(field(&mut client, "connected_slaves"), "1");
    assert_eq!(field(&mut client, "role"), "slave");
}

#[test]
fn a_restarted_replica_goes_on_where_it_was() {
    let primary = primary(&[]);
    let mut replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 500);
    assert_in_sync(&primary, &replica);
    replica.kill();
    fill(&primary, "b", 500);
    replica.start_again();
    assert_in_sync(&primary, &replica);
    replica.restart();
    fill(&primary, "c", 500);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
    let stats = primary.client().say("INFO stats");
    assert!(
        stats.contains("sync_full:0") && stats.contains("sync_partial_err:0"),
        "{stats}"
    );
    assert!(!stats.contains("sync_partial_ok:0"), "{stats}");
}

#[test]
fn replicas_may_be_stopped_while_entries_come() {
    // Each entry goes for itself, so that a replica is appending most of the time.
    let primary = primary(&["--repl-batch-delay-us", "0"]);
    let mut replicas = [(); 3].map(|()| replica_of(primary.port(), &[]));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = primary.client();
            while !over.load(Ordering::Relaxed) {
                client.say("INCR n");
            }
        });
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..10 {
                for replica in &replicas {
                    let number =
                        |client: &mut Client| client.say("GET n").trim_matches('"').parse::<u64>().unwrap_or(0);
                    let (mut client, at) = (replica.client(), number(&mut primary.client()));
                    wait_until("an entry more", || number(&mut client) > at);
                }
                for replica in &replicas {
                    replica.signal(Signal::TERM);
                }
                for replica in &mut replicas {
                    let status = replica.wait();
                    let log = replica.log();
                    assert_eq!(status.code(), Some(0), "{log}");
                    assert!(!log.contains("panicked"), "{log}");
                    replica.start_again();
                }
            }
        }));
        over.store(true, Ordering::Relaxed);
        if let Err(failure) = outcome {
            panic::resume_unwind(failure);
        }
    });
    for replica in &replicas {
        assert_in_sync(&primary, replica);
    }
}

#[test]
fn transactions_that_watch_fail_when_a_replicated_write_comes() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let mut writer = primary.client();
    for (change, read) in [
        ("SET k 1", "GET k"),
        ("HSET h f 1", "HGETALL h"),
        ("HSET h f 2", "HGETALL h"),
        ("FLUSHALL", "GET k"),
    ] {
        let mut watcher = replica.client();
        watcher.say("WATCH k h");
        writer.say(change);
        assert_in_sync(&primary, &replica);
        watcher.say("MULTI");
        watcher.say(read);
        assert_eq!(watcher.say("EXEC"), "nil", "{change}");
    }
}

#[test]
fn a_value_longer_than_any_message_arrives_compressed_or_not() {
    let primary = primary(&[]);
    let replicas = ["no", "yes"].map(|value| replica_of(primary.port(), &["--repl-compression", value]));
    replicas.iter().for_each(wait_for_link);
    let value: Vec<u8> = (0..70u32 << 20).map(|n| (n ^ (n >> 9)) as u8).collect();
    let reply = primary.client().cmd(&[b"SET".as_slice(), b"long", &value]);
    assert_eq!(reply, haypile_testkit::ok());
    primary.client().say("SET after 1");
    for replica in &replicas {
        assert_in_sync(&primary, replica);
        assert_eq!(replica.client().say("STRLEN long"), (70 << 20).to_string());
        assert_eq!(full_syncs(replica), 0);
    }
}
