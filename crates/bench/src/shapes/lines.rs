//! The lines of small collections, as data.

use super::collections::Kind;

/// One command against random keys of a type; `{key}` stands for the key.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The type that the command reads.
    pub kind: Kind,
    /// As it stands in the tables.
    pub name: &'static str,
    /// What is sent.
    pub command: &'static str,
}

const fn line(kind: Kind, name: &'static str, command: &'static str) -> Line {
    Line { kind, name, command }
}

/// What is measured on collections of each size, and on strings.
#[rustfmt::skip]
pub const LINES: &[Line] = &[
    line(Kind::Hash, "HGETALL", "HGETALL {key}"),
    line(Kind::Hash, "HKEYS", "HKEYS {key}"),
    line(Kind::Hash, "HMGET of ten", "HMGET {key} field:0 field:1 field:2 field:3 field:4 field:5 field:6 field:7 field:8 field:9"),
    line(Kind::Hash, "HGET", "HGET {key} field:7"),
    line(Kind::Hash, "HRANDFIELD", "HRANDFIELD {key}"),
    line(Kind::Hash, "EXPIRE hash", "EXPIRE {key} 100000"),
    line(Kind::Zset, "ZRANGE", "ZRANGE {key} 0 -1"),
    line(Kind::Zset, "ZREVRANGE WITHSCORES", "ZREVRANGE {key} 0 -1 WITHSCORES"),
    line(Kind::Zset, "ZRANGEBYSCORE", "ZRANGEBYSCORE {key} 250000 750000"),
    line(Kind::Zset, "ZRANK", "ZRANK {key} known-element"),
    line(Kind::Zset, "ZSCORE", "ZSCORE {key} known-element"),
    line(Kind::List, "LRANGE", "LRANGE {key} 0 -1"),
    line(Kind::List, "LINDEX", "LINDEX {key} 4"),
    line(Kind::Set, "SMEMBERS", "SMEMBERS {key}"),
    line(Kind::Set, "SISMEMBER", "SISMEMBER {key} known-element"),
    line(Kind::Set, "SRANDMEMBER", "SRANDMEMBER {key}"),
    line(Kind::Set, "SINTER of two", "SINTER {key} {key}"),
    line(Kind::String, "MGET of ten", "MGET {key} {key} {key} {key} {key} {key} {key} {key} {key} {key}"),
    line(Kind::String, "EXISTS", "EXISTS {key}"),
    line(Kind::String, "TYPE", "TYPE {key}"),
    line(Kind::String, "TTL", "TTL {key}"),
    line(Kind::String, "EXPIRE", "EXPIRE {key} 100000"),
];

/// The lines that `--quick` keeps, of those above.
pub const QUICK: &[&str] = &[
    "HGETALL",
    "HGET",
    "ZRANGE",
    "ZRANK",
    "LRANGE",
    "SMEMBERS",
    "SISMEMBER",
    "MGET of ten",
    "EXISTS",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_lines_are_lines() {
        for name in QUICK {
            assert!(LINES.iter().any(|line| line.name == *name), "{name}");
        }
    }
}
