//! Writes that nobody keeps count of, of many kinds, in databases 1 to 3: only the digests tell whether they came
//! through.

use haypile_testkit::{Rng, encode};

/// Adds some commands; gives how many. They begin and end in database 0.
pub fn add(rng: &mut Rng, bytes: &mut Vec<u8>) -> usize {
    let count = rng.between(1, 12) as usize;
    let mut commands = vec![words(&["SELECT", &rng.between(1, 3).to_string()])];
    let transaction = rng.one_in(4);
    if transaction {
        commands.push(words(&["MULTI"]));
    }
    for _ in 0..count {
        commands.push(command(rng));
        if transaction && rng.one_in(4) {
            commands.push(words(&["SELECT", &rng.between(1, 3).to_string()]));
        }
    }
    if transaction {
        commands.push(words(&["EXEC"]));
    }
    commands.push(words(&["SELECT", "0"]));
    commands.iter().for_each(|command| encode(bytes, command));
    commands.len()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

fn command(rng: &mut Rng) -> Vec<String> {
    let (n, m) = (rng.below(12), rng.below(50).to_string());
    let key = |kind: &str| format!("{kind}:{n}");
    let ms = rng.between(1, 3000).to_string();
    let other = format!("text:{}", rng.below(12));
    let value = match rng.below(40) {
        0 => "x".repeat(rng.between(10_000, 300_000) as usize),
        _ => format!("value {}", rng.next()),
    };
    match rng.below(34) {
        0 | 1 => words(&["SET", &key("text"), &value]),
        2 | 3 => words(&["SET", &key("text"), &value, "PX", &ms]),
        4 => words(&["DEL", &key("text"), &other]),
        5 => words(&["APPEND", &key("text"), &m]),
        6 => words(&["SETRANGE", &key("text"), &m, "range"]),
        7 => words(&["INCRBY", &key("number"), &m]),
        8 => words(&["MSET", &key("text"), &value, &other, &m]),
        9 => words(&["SETBIT", &key("bits"), &m, "1"]),
        10 => words(&["PFADD", &key("hll"), &value]),
        11 | 12 => words(&["HSET", &key("hash"), &m, &value]),
        13 => words(&["HDEL", &key("hash"), &m]),
        14 => words(&["HINCRBY", &key("hash"), "count", &m]),
        15 | 16 => words(&["RPUSH", &key("list"), &value, &m]),
        17 => words(&["LPOP", &key("list")]),
        18 => words(&["LSET", &key("list"), "0", &value]),
        19 => words(&["LMOVE", &key("list"), "list:0", "LEFT", "RIGHT"]),
        20 | 21 => words(&["SADD", &key("set"), &m, &value]),
        22 => words(&["SPOP", &key("set")]),
        23 => words(&["SUNIONSTORE", &key("set"), "set:0", "set:1"]),
        24 | 25 => words(&["ZADD", &key("zset"), &m, &value, &m, &m]),
        26 => words(&["ZPOPMIN", &key("zset"), "2"]),
        27 => words(&["ZREMRANGEBYRANK", &key("zset"), "0", "1"]),
        28 => words(&[
            "PEXPIRE",
            &key(["text", "hash", "list", "set", "zset"][n as usize % 5]),
            &ms,
        ]),
        29 => words(&["PERSIST", &key("text")]),
        30 => words(&["RENAME", &key("text"), &other]),
        31 => words(&["COPY", &key("hash"), "hash:0", "REPLACE"]),
        32 => words(&["MOVE", &key("text"), &rng.between(1, 3).to_string()]),
        _ => match rng.below(30) {
            0 => words(&["FLUSHDB"]),
            1 => words(&["SWAPDB", "1", "2"]),
            2 => words(&["BLPOP", &key("list"), "0.01"]),
            _ => words(&["SET", &key("text"), &value, "EX", "1"]),
        },
    }
}
