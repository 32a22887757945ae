//! The commands that are timed over sizes that double, as data.
//!
//! Words in braces stand for numbers: `{n}` the size, `{mid}` and `{quarter}` of it and `{mid+9}`, `{rand}` a random
//! one below it, and of those that change with each command `{next}` 0, 1, 2…, `{walk}` each below the size once,
//! without order, and `{after}` those behind the middle in order. `{pairs}` stands for `n` words, half of them keys and
//! half values: servers take about a million words in a command.
//!
//! Elements are `e:0` up to `e:n`, exclusive: in this order in a list, without order and with their number as the score
//! in a sorted set, as fields of a hash.

use super::growth::Class;

/// What a size is the size of, and the key where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// `list`
    List,
    /// `zset`, and `zset2` with the same
    Zset,
    /// `set`, and `set2` with the same
    Set,
    /// `hash`
    Hash,
    /// `text`: so many bytes
    Text,
    /// As many words in a command; nothing is there before
    Keys,
}

/// A command, or several that take turns, timed at each size.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What the size is of.
    pub on: On,
    /// As it stands in the table.
    pub name: &'static str,
    /// What its time, and what it logs, should grow like at most.
    pub class: Class,
    /// What is sent before and not timed.
    pub before: Before,
    /// What is timed.
    pub timed: &'static [&'static str],
    /// It is to take less at any size, microseconds.
    pub us_max: f64,
}

impl Scenario {
    const fn within(mut self, us_max: f64) -> Self {
        self.us_max = us_max;
        self
    }
}

/// What is sent before the timed commands and is not timed.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Before each run.
    Once(&'static [&'static str]),
    /// Before each timed command, since that uses up what it acts on.
    Each(&'static str),
}

const fn of(on: On, name: &'static str, class: Class, timed: &'static [&'static str]) -> Scenario {
    after(on, name, class, Before::Nothing, timed)
}

const fn after(on: On, name: &'static str, class: Class, before: Before, timed: &'static [&'static str]) -> Scenario {
    Scenario {
        on,
        name,
        class,
        before,
        timed,
        us_max: f64::INFINITY,
    }
}

use Before::{Each, Once};
use Class::{Constant, Linear, Log};
use On::{Hash, Keys, List, Set, Text, Zset};

const SECOND_US: f64 = 1e6;

/// All of them. Those that remove elements come after those that name them or copy all.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    of(List, "LINDEX middle", Log, &["LINDEX list {mid}"]),
    of(List, "LRANGE of 10 middle", Log, &["LRANGE list {mid} {mid+9}"]),
    of(List, "LSET middle", Log, &["LSET list {quarter} v:{next}"]),
    of(List, "LPUSH", Constant, &["LPUSH list v:{next}"]),
    of(List, "LPUSH, LINDEX middle", Log, &["LPUSH list v:{next}", "LINDEX list {mid}"]),
    of(List, "RPUSH, RPOP", Constant, &["RPUSH list v:{next}", "RPOP list"]),
    of(List, "LRANGE of all", Linear, &["LRANGE list 0 -1"]),
    of(List, "LINSERT middle", Linear, &["LINSERT list BEFORE e:{mid} v:{next}"]).within(SECOND_US),
    after(List, "LTRIM of half", Linear, Each("COPY list copy REPLACE"), &["LTRIM copy {mid} -1"]),
    of(List, "COPY list", Linear, &["COPY list copy REPLACE"]),
    after(List, "DEL list", Constant, Each("COPY list copy REPLACE"), &["DEL copy"]),
    of(List, "RENAME list", Constant, &["RENAME list other", "RENAME other list"]),
    of(List, "EXPIRE list", Constant, &["EXPIRE list 100000"]),
    of(List, "LREM middle", Linear, &["LREM list 1 e:{after}"]).within(SECOND_US),
    of(List, "LTRIM of the ends", Constant, &["LTRIM list 1 -2"]),

    of(Zset, "ZSCORE", Constant, &["ZSCORE zset e:{rand}"]),
    of(Zset, "ZRANK", Log, &["ZRANK zset e:{rand}"]),
    of(Zset, "ZREVRANK", Log, &["ZREVRANK zset e:{rand}"]),
    of(Zset, "ZRANGEBYSCORE with an offset", Log, &["ZRANGEBYSCORE zset -inf +inf LIMIT {mid} 10"]),
    of(Zset, "ZRANGE by rank middle", Log, &["ZRANGE zset {mid} {mid+9}"]),
    of(Zset, "ZRANGEBYSCORE middle", Log, &["ZRANGEBYSCORE zset {mid} {mid+9}"]),
    of(Zset, "ZCOUNT of a quarter", Log, &["ZCOUNT zset {quarter} {mid}"]),
    of(Zset, "ZRANDMEMBER", Log, &["ZRANDMEMBER zset"]),
    of(Zset, "ZADD", Log, &["ZADD zset {rand} f:{next}"]),
    of(Zset, "ZADD, ZRANK", Log, &["ZADD zset {rand} f:{next}", "ZRANK zset e:{rand}"]),
    of(Zset, "ZADD, ZRANGE by rank", Log, &["ZADD zset {rand} f:{next}", "ZRANGE zset {mid} {mid+9}"]),
    of(Zset, "ZINCRBY", Log, &["ZINCRBY zset 10 e:{rand}"]),
    of(Zset, "ZUNIONSTORE of two", Linear, &["ZUNIONSTORE out 2 zset zset2"]),
    of(Zset, "COPY zset", Linear, &["COPY zset copy REPLACE"]),
    after(Zset, "DEL zset", Constant, Each("COPY zset copy REPLACE"), &["DEL copy"]),
    of(Zset, "RENAME zset", Constant, &["RENAME zset other", "RENAME other zset"]),
    of(Zset, "EXPIRE zset", Constant, &["EXPIRE zset 100000"]),
    of(Zset, "ZREM", Log, &["ZREM zset e:{walk}"]),
    of(Zset, "ZREMRANGEBYRANK middle", Log, &["ZREMRANGEBYRANK zset {quarter} {quarter}"]),
    of(Zset, "ZPOPMIN", Log, &["ZPOPMIN zset"]),

    of(Set, "SISMEMBER", Constant, &["SISMEMBER set e:{rand}"]),
    of(Set, "SRANDMEMBER", Log, &["SRANDMEMBER set"]),
    of(Set, "SADD", Constant, &["SADD set f:{next}"]),
    of(Set, "SADD, SRANDMEMBER", Log, &["SADD set f:{next}", "SRANDMEMBER set"]),
    of(Set, "SMEMBERS", Linear, &["SMEMBERS set"]),
    of(Set, "SUNIONSTORE of two", Linear, &["SUNIONSTORE out set set2"]),
    of(Set, "COPY set", Linear, &["COPY set copy REPLACE"]),
    after(Set, "DEL set", Constant, Each("COPY set copy REPLACE"), &["DEL copy"]),
    of(Set, "RENAME set", Constant, &["RENAME set other", "RENAME other set"]),
    of(Set, "EXPIRE set", Constant, &["EXPIRE set 100000"]),
    of(Set, "SREM", Constant, &["SREM set e:{walk}"]),
    of(Set, "SPOP", Log, &["SPOP set"]),

    of(Hash, "HGET", Constant, &["HGET hash e:{rand}"]),
    of(Hash, "HRANDFIELD", Log, &["HRANDFIELD hash"]),
    of(Hash, "HSET", Constant, &["HSET hash f:{next} v"]),
    of(Hash, "HSET, HRANDFIELD", Log, &["HSET hash e:{rand} v:{next}", "HRANDFIELD hash"]),
    of(Hash, "HGETALL", Linear, &["HGETALL hash"]),
    of(Hash, "COPY hash", Linear, &["COPY hash copy REPLACE"]),
    after(Hash, "DEL hash", Constant, Each("COPY hash copy REPLACE"), &["DEL copy"]),
    of(Hash, "RENAME hash", Constant, &["RENAME hash other", "RENAME other hash"]),
    of(Hash, "EXPIRE hash", Constant, &["EXPIRE hash 100000"]),
    of(Hash, "HDEL", Constant, &["HDEL hash e:{walk}"]),
    after(Hash, "SET after RENAME", Constant, Once(&["RENAME hash other", "RENAME other hash"]), &["SET single v:{next}"]),

    of(Text, "GETRANGE of 10 middle", Constant, &["GETRANGE text {mid} {mid+9}"]),
    of(Text, "GETBIT middle", Constant, &["GETBIT text {mid}"]),
    of(Text, "SETBIT middle", Constant, &["SETBIT text {mid} 1", "SETBIT text {mid} 0"]),
    of(Text, "SETRANGE of 10 middle", Constant, &["SETRANGE text {mid} 0123456789", "SETRANGE text {mid} 9876543210"]),
    of(Text, "SETRANGE, GETRANGE", Constant, &["SETRANGE text {mid} 0123456789", "GETRANGE text {mid} {mid+9}"]),
    of(Text, "APPEND of 10", Constant, &["APPEND text 0123456789"]),
    of(Text, "BITCOUNT", Linear, &["BITCOUNT text"]),

    of(Keys, "MSET of n/2 keys", Linear, &["MSET {pairs}"]),
    after(Keys, "SET after MSET", Constant, Once(&["MSET {pairs}"]), &["SET single v:{next}"]),
    after(Keys, "GET after MSET", Constant, Once(&["MSET {pairs}", "SET single v"]), &["GET single"]),
];

/// The scenarios that `--quick` keeps.
pub const QUICK: &[&str] = &[
    "LINSERT middle",
    "LREM middle",
    "ZRANK",
    "ZRANGE by rank middle",
    "ZADD",
    "SRANDMEMBER",
    "SUNIONSTORE of two",
    "HSET",
    "RENAME hash",
    "DEL hash",
    "SETBIT middle",
    "APPEND of 10",
    "SET after MSET",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_quick_ones_exist() {
        for (i, scenario) in SCENARIOS.iter().enumerate() {
            assert!(
                SCENARIOS[..i].iter().all(|other| other.name != scenario.name),
                "{}",
                scenario.name
            );
        }
        for name in QUICK {
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == *name), "{name}");
        }
    }
}
