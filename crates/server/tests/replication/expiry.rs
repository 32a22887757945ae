//! Keys that expire: the primary removes them, and replicas do not show them meanwhile.

use super::support::{assert_in_sync, field, primary, replica_of, wait_for_link};
use haypile_testkit::{Client, wait_until};

fn expired_keys(client: &mut Client) -> u64 {
    let info = client.cmd(&["INFO", "stats"]);
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("expired_keys:"));
    line.unwrap().parse().unwrap()
}

#[test]
fn what_has_expired_and_is_not_removed_shows_in_no_reply_of_a_replica() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let (mut client, mut reader) = (primary.client(), replica.client());
    client.say("DEBUG SET-ACTIVE-EXPIRE 0");
    client.say("SET string v");
    client.say("RPUSH list a");
    client.say("HSET hash f v");
    client.say("SADD set a");
    client.say("ZADD zset 1 a");
    client.say("SETBIT bits 3 1");
    let keys = ["string", "list", "hash", "set", "zset", "bits"];
    for key in keys {
        assert_eq!(client.say(&format!("PEXPIRE {key} 1")), "1");
    }
    client.say("SET stays 1");
    assert_in_sync(&primary, &replica);
    let exists = format!("EXISTS {}", keys.join(" "));
    wait_until("the keys' end", || reader.say(&exists) == "0");
    for (command, reply) in [
        ("GET string", "nil"),
        ("EXISTS string stays", "1"),
        ("TTL list", "-2"),
        ("PEXPIRETIME list", "-2"),
        ("TYPE hash", "none"),
        ("OBJECT ENCODING set", "nil"),
        ("STRLEN string", "0"),
        ("LRANGE list 0 -1", "[]"),
        ("HGETALL hash", "[]"),
        ("SMEMBERS set", "[]"),
        ("SINTER set set", "[]"),
        ("ZRANGE zset 0 -1", "[]"),
        ("GETBIT bits 3", "0"),
        ("BITCOUNT bits", "0"),
        ("MGET string stays", "[nil, \"1\"]"),
        ("TOUCH string stays", "1"),
        ("KEYS *", "[\"stays\"]"),
        ("SCAN 0 COUNT 100", "[\"0\", [\"stays\"]]"),
        ("RANDOMKEY", "\"stays\""),
        // As in Redis, those count that are there.
        ("DBSIZE", "7"),
    ] {
        assert_eq!(reader.say(command), reply, "{command}");
    }
    assert_eq!((expired_keys(&mut client), expired_keys(&mut reader)), (0, 0));

    // The primary removes them, and counts them; a replica does not.
    client.say("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("the keys' removal", || reader.say("DBSIZE") == "1");
    assert_in_sync(&primary, &replica);
    assert_eq!((expired_keys(&mut client), expired_keys(&mut reader)), (6, 0));
}

#[test]
fn a_promoted_replica_removes_what_has_expired() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let (mut client, mut reader) = (primary.client(), replica.client());
    client.say("DEBUG SET-ACTIVE-EXPIRE 0");
    client.say("SET short 1 PX 1");
    client.say("SET stays 1");
    assert_in_sync(&primary, &replica);
    wait_until("the key's end", || reader.say("GET short") == "nil");
    assert_eq!(reader.say("DBSIZE"), "2");
    assert_eq!(reader.say("REPLICAOF NO ONE"), "OK");
    wait_until("its removal", || reader.say("DBSIZE") == "1");
    assert_eq!(expired_keys(&mut reader), 1);
    assert_eq!(field(&mut reader, "role"), "master");
}

#[test]
fn times_are_those_of_the_primary() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let (mut client, mut reader) = (primary.client(), replica.client());
    for command in [
        "SET a 1 EX 1000",
        "SETEX b 1000 1",
        "SET c 1",
        "PEXPIRE c 1000000",
        "SADD d 1",
        "EXPIRE d 1000",
        "SET past 1",
        "EXPIRE past -1",
        "SET past2 1",
        "PEXPIREAT past2 1",
        "SET past3 1 PXAT 1",
        "GETEX c EX 2000",
    ] {
        client.say(command);
    }
    assert_in_sync(&primary, &replica);
    for key in ["a", "b", "c", "d"] {
        let command = format!("PEXPIRETIME {key}");
        let at = client.say(&command);
        assert_eq!(reader.say(&command), at);
        assert!(at.parse::<u64>().unwrap() > 1_000_000_000_000, "{at}");
    }
    assert_eq!(reader.say("EXISTS past past2 past3"), "0");
    assert_eq!(
        reader.say("EXPIRE a 5"),
        "(error) READONLY You can't write against a read only replica."
    );
}
