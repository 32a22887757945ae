//! Keyspace events at replicas.

use super::support::{primary, replica_and_its_replica, replica_of, wait_for_link, wait_for_streams};
use haypile_testkit::{Client, Value, wait_until};

/// What a subscriber hears until a message says that this is all: `event key`, `event key @db` or `message payload`.
fn heard(subscriber: &mut Client) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let Value::Array(parts) = subscriber.recv() else {
            panic!("no message")
        };
        let parts: Vec<String> = parts.iter().map(text).collect();
        let (channel, payload) = (&parts[2], &parts[3]);
        match channel
            .strip_prefix("__keyevent@")
            .and_then(|rest| rest.split_once("__:"))
        {
            Some(("0", event)) => heard.push(format!("{event} {payload}")),
            Some((db, event)) => heard.push(format!("{event} {payload} @{db}")),
            None if payload == "all" => return heard,
            None => heard.push(format!("message {payload}")),
        }
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap()).into_owned()
}

fn listen(client: &mut Client) {
    client.say("CONFIG SET notify-keyspace-events EAn");
    client.say("PSUBSCRIBE *");
}

#[test]
fn replicas_show_the_events_that_replicas_of_redis_show() {
    let primary = primary(&[]);
    let (replica, second) = replica_and_its_replica(&primary);
    let (mut client, mut end) = (primary.client(), primary.client());
    let mut subscribers = [replica.client(), second.client()];
    subscribers.iter_mut().for_each(listen);
    for line in include_str!("fixtures/events.txt").lines().skip(1) {
        let (command, expected) = line.split_once(" |").unwrap();
        client.say(command);
        end.say("PUBLISH end all");
        for subscriber in &mut subscribers {
            assert_eq!(heard(subscriber).join(", "), expected.trim(), "{command}");
        }
    }
}

#[test]
fn a_key_that_has_expired_is_deleted_at_the_replicas() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    wait_for_streams(&primary, 1);
    let mut client = primary.client();
    client.say("DEBUG SET-ACTIVE-EXPIRE 0");
    let mut subscribers = [primary.client(), replica.client()];
    subscribers.iter_mut().for_each(listen);
    for key in ["a", "b", "c", "d"] {
        client.say(&format!("SET {key} 1 PX 1"));
        client.say("PUBLISH end all");
        for subscriber in &mut subscribers {
            let events = heard(subscriber).join(", ");
            assert_eq!(events, format!("new {key}, set {key}, expire {key}"));
        }
        wait_until("the key's end", || client.say(&format!("GET {key}")) == "nil");
    }
    // By a write of its own, in the middle of one about another key, and by the server itself.
    client.say("SET a 2");
    client.say("RENAME a b");
    client.say("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("all keys' end", || client.say("DBSIZE") == "1");
    // What is seen may not have been told yet; the writer tells it before it does anything else.
    client.say("DEL nothing");
    client.say("PUBLISH end all");
    let expected = [
        "expired a",
        "new a",
        "set a",
        "expired b",
        "new b",
        "rename_from a",
        "rename_to b",
        "expired c",
        "expired d",
    ];
    assert_eq!(heard(&mut subscribers[0]), expected);
    let deleted = expected.map(|event| event.replace("expired", "del"));
    assert_eq!(heard(&mut subscribers[1]), deleted);
}
