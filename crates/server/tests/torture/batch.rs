//! Transactions that write one number under several keys of different types, and the connection that looks at them.

use std::io;

use haypile_testkit::Rng;
use haypile_testkit::{Client, Value, text};

/// The kinds of keys that a batch writes.
const KINDS: [&str; 5] = ["text", "list", "hash", "set", "zset"];

/// The key of a batch of a connection.
fn key(worker: usize, kind: &str) -> String {
    format!("w{worker}:batch:{kind}")
}

/// The commands that write batch `n`, in the selected database and, by way of SELECT, under the first key in another.
pub fn commands(worker: usize, n: u64, db: u16, other_db: u16) -> Vec<Vec<String>> {
    let key = |kind| key(worker, kind);
    let line = |words: &[&str]| words.iter().map(|w| w.to_string()).collect();
    let number = n.to_string();
    vec![
        line(&["SET", &key("text"), &number]),
        line(&["DEL", &key("list")]),
        line(&["RPUSH", &key("list"), &number, "end"]),
        line(&["SELECT", &other_db.to_string()]),
        line(&["SET", &key("text"), &number]),
        line(&["SELECT", &db.to_string()]),
        line(&["HSET", &key("hash"), "n", &number]),
        line(&["DEL", &key("set")]),
        line(&["SADD", &key("set"), &number]),
        line(&["ZADD", &key("zset"), &number, "n"]),
    ]
}

/// Looks at the batches in database 0 in transactions of its own until the server is gone. An error says what should
/// never be seen.
pub fn observe(port: u16, workers: usize, mut rng: Rng) -> Result<u64, String> {
    let mut looks = 0;
    let Ok(mut client) = Client::try_connect(port) else {
        return Ok(0);
    };
    while let Ok(found) = look(&mut client, rng.below(workers as u64) as usize) {
        if found.iter().any(|n| *n != found[0]) {
            return Err(format!("a transaction is half seen: {KINDS:?} are {found:?}"));
        }
        looks += 1;
    }
    Ok(looks)
}

/// The numbers under the keys of one connection, each as text.
fn look(client: &mut Client, worker: usize) -> io::Result<Vec<String>> {
    let reads = [
        format!("GET {}", key(worker, "text")),
        format!("LINDEX {} 0", key(worker, "list")),
        format!("HGET {} n", key(worker, "hash")),
        format!("SRANDMEMBER {}", key(worker, "set")),
        format!("ZSCORE {} n", key(worker, "zset")),
    ];
    let lines: Vec<&str> = std::iter::once("MULTI")
        .chain(reads.iter().map(String::as_str))
        .chain(["EXEC"])
        .collect();
    client.try_send_lines(&lines)?;
    for _ in 0..=reads.len() {
        receive(client)?;
    }
    match receive(client)? {
        Value::Array(found) if found.len() == KINDS.len() => Ok(found.iter().map(text).collect()),
        other => Ok(vec!["a transaction".into(), format!("answered with {}", text(&other))]),
    }
}

/// The next reply; an error if there is no server any more.
pub fn receive(client: &mut Client) -> io::Result<Value> {
    client
        .recv_within(haypile_testkit::PATIENCE)?
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}
