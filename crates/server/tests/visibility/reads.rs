//! What readers ask about keys of each type.

use super::data::{Kind, SCORES, Shape, element};
use super::scenario::{Command, Unit, line};
use haypile_testkit::Rng;

/// A command that reads this key, or its like under the same name, of about this generation.
pub fn of_key(kind: Kind, shape: Shape, key: &str, near: u64, rng: &mut Rng) -> Command {
    if rng.one_in(8) {
        return line(
            rng.pick(&["EXISTS {k}", "TYPE {k}", "EXISTS {k} {k}", "PEXPIRETIME {k}"])
                .replace("{k}", key)
                .as_str(),
        );
    }
    // Most elements are there in all generations, some in one of the next only, and some in none.
    let generation = near + rng.below(3);
    let mut one = || element(kind, shape, generation, rng.below(shape.count + 3));
    let (a, b) = (one(), one());
    let index = rng.below(shape.count + 3);
    let low = generation as i64 * SCORES;
    let choices: &[&str] = match kind {
        Kind::Text => &[
            "GET {k}",
            "MGET {k} {k}",
            "STRLEN {k}",
            "GETRANGE {k} {i} -2",
            "GETRANGE {k} -40 -1",
            "SUBSTR {k} 0 {i}",
        ],
        Kind::Hash => &[
            "HGET {k} {a}",
            "HGET {k} {a}",
            "HGETALL {k}",
            "HMGET {k} {a} {b}",
            "HLEN {k}",
            "HEXISTS {k} {a}",
            "HSTRLEN {k} {a}",
            "HKEYS {k}",
            "HVALS {k}",
            "HRANDFIELD {k}",
        ],
        Kind::List => &[
            "LRANGE {k} 0 -1",
            "LRANGE {k} {i} -2",
            "LRANGE {k} -3 -1",
            "LINDEX {k} {i}",
            "LINDEX {k} -1",
            "LLEN {k}",
            "LPOS {k} {a}",
        ],
        Kind::Set => &[
            "SMEMBERS {k}",
            "SISMEMBER {k} {a}",
            "SISMEMBER {k} {b}",
            "SMISMEMBER {k} {a} {b}",
            "SCARD {k}",
            "SUNION {k} {k}",
            "SINTER {k} {k}",
            "SDIFF {k} {k}",
            "SINTERCARD 2 {k} {k}",
            "SRANDMEMBER {k}",
            "SUNION {k} nothing",
        ],
        Kind::Zset => &[
            "ZSCORE {k} {a}",
            "ZSCORE {k} {b}",
            "ZMSCORE {k} {a} {b}",
            "ZRANGE {k} 0 -1",
            "ZRANGE {k} 0 -1 WITHSCORES",
            "ZRANGE {k} 1 {i} REV WITHSCORES",
            "ZRANGEBYSCORE {k} -inf +inf",
            "ZRANGEBYSCORE {k} {s} {e}",
            "ZRANK {k} {a}",
            "ZREVRANK {k} {a}",
            "ZCARD {k}",
            "ZCOUNT {k} {s} {e}",
            "ZUNION 2 {k} {k} WITHSCORES",
            "ZINTER 2 {k} {k} WITHSCORES",
            "ZDIFF 2 {k} {k} WITHSCORES",
            "ZINTERCARD 2 {k} {k}",
            "ZUNION 2 {k} nothing",
        ],
    };
    let text = rng
        .pick(choices)
        .replace("{k}", key)
        .replace("{a}", &a)
        .replace("{b}", &b);
    let text = text.replace("{i}", &index.to_string());
    let text = text
        .replace("{s}", &low.to_string())
        .replace("{e}", &(low + 5).to_string());
    line(&text)
}

/// Commands whose replies are short, however large the collection is.
const SHORT: [&str; 23] = [
    "EXISTS",
    "TYPE",
    "PEXPIRETIME",
    "DBSIZE",
    "STRLEN",
    "HGET",
    "HMGET",
    "HLEN",
    "HEXISTS",
    "HSTRLEN",
    "LLEN",
    "LINDEX",
    "LPOS",
    "SCARD",
    "SISMEMBER",
    "SMISMEMBER",
    "SRANDMEMBER",
    "ZCARD",
    "ZSCORE",
    "ZMSCORE",
    "ZRANK",
    "ZREVRANK",
    "SELECT",
];

/// Whether the reply is short in any case, so that many of them can be on their way.
pub fn is_short(read: &Unit) -> bool {
    read.commands.iter().all(|command| SHORT.contains(&command[0].as_str()))
}

/// Commands that look up single rows and have long replies only if these are long.
const QUICK: [&str; 4] = ["GET", "MGET", "GETRANGE", "SUBSTR"];

/// Whether the read is quickly done, as a rule.
pub fn is_quick(read: &Unit) -> bool {
    let mut names = read.commands.iter().map(|command| command[0].as_str());
    names.all(|name| SHORT.contains(&name) || QUICK.contains(&name))
}

/// A command that reads two keys of one type.
pub fn of_keys(kind: Kind, keys: [&str; 2], rng: &mut Rng) -> Command {
    let choices: &[&str] = match kind {
        Kind::Text => &["MGET {a} {b}", "EXISTS {a} {b}"],
        Kind::Hash | Kind::List => &["EXISTS {a} {b}"],
        Kind::Set => &[
            "SUNION {a} {b}",
            "SINTER {a} {b}",
            "SDIFF {a} {b}",
            "SINTERCARD 2 {a} {b}",
            "EXISTS {a} {b}",
        ],
        Kind::Zset => &[
            "ZUNION 2 {a} {b} WITHSCORES",
            "ZINTER 2 {a} {b}",
            "ZDIFF 2 {a} {b}",
            "ZINTERCARD 2 {a} {b}",
            "EXISTS {a} {b}",
        ],
    };
    line(&rng.pick(choices).replace("{a}", keys[0]).replace("{b}", keys[1]))
}
