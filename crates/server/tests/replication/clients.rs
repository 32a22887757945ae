//! What becomes of clients that wait, have begun a transaction or listen, when their server changes its role.

use super::support::{assert_in_sync, field, fill, full_syncs, primary, replica_of, wait_for_link, wait_for_streams};
use haypile_testkit::{Client, Server, wait_until};

const READ_ONLY: &str = "(error) READONLY You can't write against a read only replica.";
const UNBLOCKED: &str =
    "(error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

fn replicaof(server: &Server) -> String {
    format!("REPLICAOF 127.0.0.1 {}", server.port())
}

fn blocked_clients(client: &mut Client) -> String {
    let info = client.cmd(&["INFO", "clients"]);
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().to_owned()
}

#[test]
fn who_waits_is_told_and_closed_when_the_server_becomes_a_replica() {
    let (server, other) = (primary(&[]), primary(&[]));
    let commands = [
        "BLPOP k 0",
        "BRPOP k 100",
        "BLMOVE k l LEFT RIGHT 0",
        "BRPOPLPUSH k l 0",
        "BLMPOP 0 1 k LEFT",
        "BZPOPMIN z 0",
        "BZPOPMAX z 0",
        "BZMPOP 0 1 z MIN",
        "WAIT 1 0",
        "WAITAOF 0 1 0",
    ];
    let mut waiting = commands.map(|command| {
        let mut client = server.client();
        // What stands behind it is not evaluated any more.
        client.send_lines(&[command, "PING"]);
        client
    });
    let mut client = server.client();
    wait_until("all of them", || {
        blocked_clients(&mut client) == commands.len().to_string()
    });
    assert_eq!(client.say(&replicaof(&other)), "OK");
    for (client, command) in waiting.iter_mut().zip(commands) {
        assert_eq!(client.hear(), UNBLOCKED, "{command}");
        client.assert_closed();
    }
    assert_eq!(blocked_clients(&mut client), "0");
    // Promotion ends nobody's wait, and those who come then are served.
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    let mut waiter = server.client();
    waiter.send_lines(&["BLPOP k 0"]);
    wait_until("the waiter", || blocked_clients(&mut client) == "1");
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    client.say("RPUSH k v");
    assert_eq!(waiter.hear(), "[\"k\", \"v\"]");
}

/// What serves a client is an entry of its own, in its place: replicas have the same, in the same order.
#[test]
fn replicas_have_what_those_who_waited_left() {
    for args in [["--io-threads", "1"], ["--io-threads", "4"]] {
        let server = primary(&args);
        let replica = replica_of(server.port(), &[]);
        wait_for_link(&replica);
        wait_for_streams(&server, 1);
        let (mut client, mut events) = (server.client(), replica.client());
        assert_eq!(events.say("CONFIG SET notify-keyspace-events EA"), "OK");
        events.say("PSUBSCRIBE __keyevent@0__:*");
        let mut waiting = [
            ("BLMOVE q d LEFT RIGHT 0", "\"1\""),
            ("BLMPOP 0 1 q LEFT COUNT 2", "[\"q\", [\"2\", \"3\"]]"),
            ("BLPOP d 0", "[\"d\", \"1\"]"),
            ("BZPOPMIN z 0", "[\"z\", \"a\", \"1\"]"),
        ]
        .map(|(line, reply)| {
            let before: usize = blocked_clients(&mut client).parse().unwrap();
            let mut waiting = server.client();
            waiting.send_lines(&[line]);
            wait_until("one more waits", || {
                blocked_clients(&mut client) == (before + 1).to_string()
            });
            (waiting, reply)
        });
        client.send_lines(&["RPUSH q 1 2 3 4", "RPUSH q 5", "ZADD z 1 a 2 b", "SET end 1"]);
        client.hear_all(4);
        for (waiting, reply) in &mut waiting {
            assert_eq!(waiting.hear(), *reply);
        }
        let mut heard = Vec::new();
        while heard.last().is_none_or(|event| event != "set end") {
            let message = events.hear();
            let (_, event) = message.rsplit_once("__:").expect("an event");
            heard.push(event.trim_end_matches(']').replace("\", \"", " ").replace('"', ""));
        }
        assert_eq!(
            heard,
            [
                "rpush q",
                "rpush d",
                "lpop q",
                "lpop q",
                "lpop d",
                "del d",
                "rpush q",
                "zadd z",
                "zpopmin z",
                "set end"
            ]
        );
        assert_in_sync(&server, &replica);
        assert_eq!(replica.client().say("LRANGE q 0 -1"), "[\"4\", \"5\"]");
    }
}

#[test]
fn a_wait_that_is_over_before_it_begins_leaves_nothing() {
    let server = primary(&[]);
    let replica = replica_of(server.port(), &[]);
    wait_for_link(&replica);
    wait_for_streams(&server, 1);
    let mut client = server.client();
    for _ in 0..20 {
        client.send_lines(&["SET a 1", "WAIT 1 0", "BLPOP none 0.001"]);
        assert_eq!(client.hear_all(3), ["OK", "1", "nil"]);
    }
}

#[test]
fn who_waits_for_replicas_can_be_unblocked() {
    let server = primary(&[]);
    let (mut client, mut waiter) = (server.client(), server.client());
    let id = waiter.id();
    client.say("SET a 1");
    for (how, reply) in [
        ("TIMEOUT", "0"),
        ("ERROR", "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        waiter.send_lines(&["WAIT 1 0", "PING"]);
        wait_until("the waiter", || blocked_clients(&mut client) == "1");
        assert_eq!(client.say(&format!("CLIENT UNBLOCK {id} {how}")), "1");
        assert_eq!(waiter.hear_all(2), [reply, "PONG"]);
    }
}

#[test]
fn transactions_with_writes_are_refused_once_the_server_is_a_replica() {
    let (server, other) = (primary(&[]), primary(&[]));
    let (mut client, mut writer, mut reader) = (server.client(), server.client(), server.client());
    for (client, command) in [(&mut writer, "SET a 1"), (&mut reader, "GET a")] {
        client.say("MULTI");
        assert_eq!(client.say(command), "QUEUED");
    }
    assert_eq!(client.say(&replicaof(&other)), "OK");
    assert_eq!(
        writer.say("EXEC"),
        "(error) EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica."
    );
    assert_eq!(writer.say("MULTI"), "OK", "the old one is over");
    assert_eq!(writer.say("SET a 1"), READ_ONLY);
    wait_for_link(&server);
    assert_eq!(reader.say("EXEC"), "[nil]");
    reader.say("MULTI");
    assert_eq!(reader.say("GET a"), "QUEUED");

    // A promotion does not mend what was refused, and hinders nobody else.
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(
        writer.say("EXEC"),
        "(error) EXECABORT Transaction discarded because of previous errors."
    );
    assert_eq!(reader.say("SET a 1"), "QUEUED");
    assert_eq!(reader.say("EXEC"), "[nil, OK]");
}

#[test]
fn watched_keys_outlive_a_change_of_role_and_fail_with_other_data() {
    let (server, other) = (primary(&[]), primary(&[]));
    fill(&other, "other", 10);
    let mut client = server.client();
    client.say("SET k 1");
    let mut watcher = server.client();
    let exec = |watcher: &mut Client| {
        watcher.say("MULTI");
        watcher.say("GET k");
        watcher.say("EXEC")
    };
    watcher.say("WATCH k");
    assert_eq!(client.say(&replicaof(&other)), "OK");
    assert_in_sync(&other, &server);
    assert_eq!(full_syncs(&server), 1);
    assert_eq!(exec(&mut watcher), "nil", "its data was replaced");

    let mut writer = other.client();
    writer.say("SET k 2");
    assert_in_sync(&other, &server);
    watcher.say("WATCH k");
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(exec(&mut watcher), "[\"2\"]", "a promotion changes no key");
    watcher.say("WATCH k");
    assert_eq!(client.say(&replicaof(&other)), "OK");
    assert_in_sync(&other, &server);
    assert_eq!(full_syncs(&server), 1);
    assert_eq!(exec(&mut watcher), "[\"2\"]", "nor does going on");

    // A database that becomes another one changes the keys that it had or has.
    for (before, change, fails) in [
        ("DEL nothing", "FLUSHALL", false),
        ("SET watched 1", "FLUSHALL", true),
        ("DEL nothing", "SWAPDB 0 1", false),
        ("SET watched 1", "SWAPDB 0 1", true),
        ("DEL nothing", "SWAPDB 0 1", true),
    ] {
        writer.say(before);
        assert_in_sync(&other, &server);
        watcher.say("WATCH watched");
        writer.say(change);
        assert_in_sync(&other, &server);
        let outcome = exec(&mut watcher);
        assert_eq!(outcome == "nil", fails, "{before}, {change}: {outcome}");
    }
}

#[test]
fn subscribers_stay_subscribed() {
    let (server, other) = (primary(&[]), primary(&[]));
    fill(&server, "own", 10);
    fill(&other, "other", 10);
    let mut client = server.client();
    let mut subscribers = ["SUBSCRIBE c", "PSUBSCRIBE c*", "SSUBSCRIBE c"].map(|command| {
        let mut subscriber = server.client();
        subscriber.say(command);
        subscriber
    });
    let mut hear = |payload: &str| {
        for (subscriber, kind) in subscribers.iter_mut().zip(["message", "pmessage", "smessage"]) {
            let pattern = if kind == "pmessage" { "\"c*\", " } else { "" };
            assert_eq!(
                subscriber.hear(),
                format!("[\"{kind}\", {pattern}\"c\", \"{payload}\"]")
            );
        }
    };
    let publish = |server: &Server, payload: &str| {
        let mut client = server.client();
        client.say(&format!("PUBLISH c {payload}"));
        client.say(&format!("SPUBLISH c {payload}"));
    };
    publish(&server, "alone");
    hear("alone");
    assert_eq!(client.say(&replicaof(&other)), "OK");
    assert_in_sync(&other, &server);
    assert_eq!(full_syncs(&server), 1);
    wait_for_streams(&other, 1);
    publish(&other, "followed");
    hear("followed");
    publish(&server, "local");
    hear("local");
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    wait_until("the end of the stream", || {
        !field(&mut other.client(), "slave0").contains("state=online")
    });
    publish(&other, "foreign");
    publish(&server, "promoted");
    hear("promoted");
}

#[test]
fn a_write_that_a_pause_has_held_up_is_refused_by_a_replica() {
    let (server, other) = (primary(&[]), primary(&[]));
    let (mut client, mut writer) = (server.client(), server.client());
    client.say("CLIENT PAUSE 100000 WRITE");
    writer.send_lines(&["SET a 1", "GET a"]);
    assert_eq!(client.say(&replicaof(&other)), "OK");
    wait_for_link(&server);
    assert_eq!(client.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(writer.hear_all(2), [READ_ONLY, "nil"]);
}
