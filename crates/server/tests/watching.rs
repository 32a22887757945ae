//! WATCH: what fails a transaction and what does not, above all with keys that expire. As Redis 7.0 does it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use haypile_testkit::{Client, Server, wait_until};

const SERVERS: [&[&str]; 3] = [
    &["--io-threads", "1"],
    &["--io-threads", "4"],
    &["--io-threads", "4", "--sync", "always"],
];

/// What the key is when it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Missing,
    Live,
    /// Its time is over, but it has not been removed.
    Expired,
    /// It lives, and its time is over before anything else happens.
    Expiring,
}

use Watched::{Expired, Expiring, Live, Missing};

#[track_caller]
fn await_expiry(client: &mut Client) {
    // A command that reads removes nothing.
    wait_until("the key expires", || client.say("PTTL k") == "-2");
}

/// Whether EXEC runs after somebody else has sent these commands.
#[track_caller]
fn runs(server: &Server, watched: Watched, lines: &[&str]) -> bool {
    let (mut client, mut other) = (server.client(), server.client());
    let mut expiry_ms = 1;
    loop {
        for db in [2, 1, 0] {
            other.send_lines(&[&format!("SELECT {db}"), "FLUSHDB"]);
            other.hear_all(2);
        }
        if watched != Missing {
            other.say("SET k v");
        }
        if matches!(watched, Expired | Expiring) {
            other.say(&format!("PEXPIRE k {expiry_ms}"));
        }
        if watched == Expired {
            await_expiry(&mut other);
        }
        client.send_lines(&["UNWATCH", "WATCH k", "EXISTS k"]);
        let there = client.hear_all(3).remove(2) == "1";
        if watched != Expiring || there {
            assert_eq!(there, matches!(watched, Live | Expiring));
            break;
        }
        // It was gone before it was watched: not so fast.
        expiry_ms *= 4;
    }
    if watched == Expiring {
        await_expiry(&mut other);
    }
    other.send_lines(lines);
    other.hear_all(lines.len());
    client.send_lines(&["MULTI", "PING", "EXEC"]);
    match client.hear_all(3).remove(2).as_str() {
        "[PONG]" => true,
        "nil" => false,
        reply => panic!("{reply}"),
    }
}

/// For each of these lines whether EXEC runs if the key was missing, live or expired when it was watched. If it expires
/// after that, EXEC never does.
const CASES: &[(&[&str], [bool; 3])] = &[
    (&["PING"], [true, true, true]),
    (&["DEL k"], [true, false, true]),
    (&["UNLINK k"], [true, false, true]),
    (&["FLUSHDB"], [true, false, true]),
    (&["FLUSHALL"], [true, false, true]),
    (&["SWAPDB 0 1"], [true, false, true]),
    (&["SWAPDB 0 1", "SWAPDB 0 1"], [true, false, true]),
    (&["SWAPDB 0 1", "SWAPDB 1 2"], [true, false, true]),
    (&["SELECT 1", "SET k 1", "SWAPDB 0 1"], [false, false, false]),
    (&["SELECT 1", "FLUSHDB"], [true, true, true]),
    (&["GET k"], [true, true, true]),
    (&["PERSIST k"], [true, true, true]),
    (&["EXPIRE k 10"], [true, false, true]),
    (&["SADD s 1", "SET w 1", "SINTERSTORE d k w"], [true, true, true]),
    (&["GETDEL k"], [true, false, true]),
    (&["SET k x"], [false, false, false]),
    (&["SETNX k x"], [false, true, false]),
    (&["INCR k"], [false, true, false]),
    (&["RPUSH k 1"], [false, true, false]),
    (&["SET o 1", "RENAME o k"], [false, false, false]),
    (&["SET o 1", "COPY o k REPLACE"], [false, false, false]),
    (&["SELECT 1", "SET k 5", "MOVE k 0"], [false, true, false]),
    (&["SET k 1", "DEL k"], [false, false, false]),
    (&["DEL k", "SET k 1"], [false, false, false]),
    (&["FLUSHDB", "SET k 1"], [false, false, false]),
];

#[test]
fn the_removal_of_what_had_expired_is_no_change() {
    for args in SERVERS {
        let server = Server::start(args);
        assert_eq!(server.client().say("DEBUG SET-ACTIVE-EXPIRE 0"), "OK");
        for (lines, expected) in CASES {
            for (watched, runs_then) in [Missing, Live, Expired].into_iter().zip(*expected) {
                assert_eq!(
                    runs(&server, watched, lines),
                    runs_then,
                    "{args:?} {watched:?} {lines:?}"
                );
            }
            assert!(!runs(&server, Expiring, lines), "{args:?} {lines:?}");
        }
    }
}

#[test]
fn what_the_server_removes_by_itself_counts_the_same() {
    for args in SERVERS {
        let server = Server::start(args);
        let (mut early, mut late, mut other) = (server.client(), server.client(), server.client());
        let mut expiry_ms = 10;
        loop {
            other.send_lines(&["DEBUG SET-ACTIVE-EXPIRE 0", &format!("SET k v PX {expiry_ms}")]);
            other.hear_all(2);
            early.send_lines(&["UNWATCH", "WATCH k", "EXISTS k"]);
            if early.hear_all(3).remove(2) == "1" {
                break;
            }
            expiry_ms *= 4;
        }
        await_expiry(&mut other);
        assert_eq!(late.say("WATCH k"), "OK");
        assert_eq!(other.say("DEBUG SET-ACTIVE-EXPIRE 1"), "OK");
        wait_until("the key is removed", || other.say("DBSIZE") == "0");
        for (client, reply) in [(&mut early, "nil"), (&mut late, "[PONG]")] {
            client.send_lines(&["MULTI", "PING", "EXEC"]);
            assert_eq!(client.hear_all(3)[2], reply, "{args:?}");
        }
    }
}

#[test]
fn what_serves_others_is_a_change() {
    let server = Server::start(&[]);
    let (mut client, mut waiting, mut other) = (server.client(), server.client(), server.client());
    waiting.send_lines(&["BLMOVE q d LEFT LEFT 0"]);
    wait_until("a client waits", || {
        other.say("INFO clients").contains("blocked_clients:1\\r\\n")
    });
    assert_eq!(client.say("WATCH d"), "OK");
    assert_eq!(other.say("RPUSH q a"), "1");
    client.send_lines(&["MULTI", "PING", "EXEC"]);
    assert_eq!(client.hear_all(3)[2], "nil");
    assert_eq!(waiting.hear(), "\"a\"");
}
