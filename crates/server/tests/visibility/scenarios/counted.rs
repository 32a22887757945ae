//! Collections of which something stays the same while they change: their size or a run of numbers, or a sum.

use std::ops::Range;

use super::super::data::{Data, Item, Kind};
use super::super::scenario::{Command, Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// A run of numbers: one is added above, and then the lowest one taken away, each by a command of its own or both in MULTI.
pub struct Window {
    /// Any but string.
    pub kind: Kind,
    pub size: u64,
    /// True if both happen in one transaction.
    pub together: bool,
}

impl Window {
    fn element(number: u64) -> String {
        format!("e{number}")
    }

    fn range(&self, state: State) -> Range<u64> {
        match self.together {
            true => state..state + self.size,
            false => state / 2..state.div_ceil(2) + self.size,
        }
    }

    fn add(&self, number: u64) -> Command {
        let (key, element) = (self.name(), Window::element(number));
        line(&match self.kind {
            Kind::List => format!("RPUSH {key} {element}"),
            Kind::Set => format!("SADD {key} {element}"),
            Kind::Zset => format!("ZADD {key} {number} {element}"),
            _ => format!("HSET {key} {element} {number}"),
        })
    }

    fn take(&self, number: u64) -> Command {
        let (key, element) = (self.name(), Window::element(number));
        line(&match (self.kind, number % 2) {
            (Kind::List, _) => format!("LPOP {key}"),
            (Kind::Set, _) => format!("SREM {key} {element}"),
            (Kind::Zset, 0) => format!("ZREM {key} {element}"),
            (Kind::Zset, _) => format!("ZPOPMIN {key}"),
            _ => format!("HDEL {key} {element}"),
        })
    }
}

impl Scenario for Window {
    fn name(&self) -> String {
        let kind = self.kind.name();
        format!(
            "window-{kind}-{}{}",
            self.size,
            if self.together { "-together" } else { "" }
        )
    }

    fn cost(&self) -> u64 {
        1 + self.size / 4
    }

    fn begin(&self) -> Vec<Unit> {
        self.range(0).map(|number| Unit::single(0, self.add(number))).collect()
    }

    fn step(&self, step: u64) -> Unit {
        let (before, after) = (self.range(step - 1), self.range(step));
        match self.together {
            true => Unit::transaction(0, vec![self.add(before.end), self.take(before.start)]),
            false if after.end > before.end => Unit::single(0, self.add(before.end)),
            false => Unit::single(0, self.take(before.start)),
        }
    }

    fn item(&self, state: State, _: u16, _: &str) -> Option<Item> {
        let numbers = self.range(state);
        let names = numbers.clone().map(Window::element);
        let data = match self.kind {
            Kind::List => Data::List(names.collect()),
            Kind::Set => Data::Set(names.collect()),
            Kind::Zset => Data::Zset(names.zip(numbers.map(|n| n as i64)).collect()),
            _ => Data::Hash(names.zip(numbers.map(|n| n.to_string())).collect()),
        };
        Some(data.into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        let low = self.range(near).start;
        // At the ends, where something happens, and within.
        let (high, within) = (low + self.size, low + rng.below(self.size));
        let number = *rng.pick(&[low, low + 1, low + 2, high, high + 1, within]);
        let choices: &[&str] = match self.kind {
            Kind::List => &[
                "LRANGE {k} 0 -1",
                "LRANGE {k} 0 1",
                "LRANGE {k} -2 -1",
                "LLEN {k}",
                "LINDEX {k} 0",
                "LINDEX {k} -1",
                "LPOS {k} {e}",
            ],
            Kind::Set => &[
                "SMEMBERS {k}",
                "SCARD {k}",
                "SISMEMBER {k} {e}",
                "SUNION {k} {k}",
                "SDIFF {k} {k}",
            ],
            Kind::Zset => &[
                "ZRANGE {k} 0 -1",
                "ZRANGE {k} 0 1 WITHSCORES",
                "ZRANGE {k} 0 1 REV",
                "ZCARD {k}",
                "ZSCORE {k} {e}",
                "ZRANK {k} {e}",
                "ZREVRANK {k} {e}",
                "ZCOUNT {k} -inf {n}",
                "ZRANGEBYSCORE {k} -inf {n}",
            ],
            _ => &[
                "HGETALL {k}",
                "HLEN {k}",
                "HGET {k} {e}",
                "HEXISTS {k} {e}",
                "HSTRLEN {k} {e}",
                "HKEYS {k}",
                "HVALS {k}",
            ],
        };
        let one = |rng: &mut Rng| {
            let text = rng
                .pick(choices)
                .replace("{k}", &self.name())
                .replace("{e}", &Window::element(number));
            line(&text.replace("{n}", &number.to_string()))
        };
        match rng.one_in(8) {
            true => Unit::transaction(0, vec![one(rng), one(rng)]),
            false => Unit::single(0, one(rng)),
        }
    }
}

/// Accounts from each of which one is paid to the next, in MULTI: the sum of all stays the same.
pub struct Bank {
    /// Fields of a hash, members of a sorted set, or keys.
    pub kind: Kind,
    pub accounts: u64,
}

impl Bank {
    /// The balance of an account: it pays in the step of its number and is paid in the one before, in each round.
    fn balance(&self, state: State, account: u64) -> i64 {
        let steps_with = |remainder: u64| {
            // How many of the steps 1, 2, ... up to the state have this remainder.
            let zeroth = u64::from(remainder == 0);
            ((state + self.accounts - remainder) / self.accounts - zeroth) as i64
        };
        let before = (account + self.accounts - 1) % self.accounts;
        1000 + steps_with(before) - steps_with(account)
    }

    fn account(&self, number: u64) -> String {
        match self.kind {
            Kind::Text => format!("{}:{number}", self.name()),
            _ => format!("a{number}"),
        }
    }

    fn pay(&self, account: u64, by: i64) -> Command {
        let (key, account) = (self.name(), self.account(account));
        line(&match self.kind {
            Kind::Text => format!("INCRBY {account} {by}"),
            Kind::Zset => format!("ZINCRBY {key} {by} {account}"),
            _ => format!("HINCRBY {key} {account} {by}"),
        })
    }
}

impl Scenario for Bank {
    fn name(&self) -> String {
        format!("bank-{}-{}", self.kind.name(), self.accounts)
    }

    fn cost(&self) -> u64 {
        1 + self.accounts
    }

    fn begin(&self) -> Vec<Unit> {
        let all = 0..self.accounts;
        all.map(|account| Unit::single(0, self.pay(account, self.balance(0, account))))
            .collect()
    }

    fn step(&self, step: u64) -> Unit {
        let from = step % self.accounts;
        Unit::transaction(0, vec![self.pay(from, -1), self.pay((from + 1) % self.accounts, 1)])
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let all = (0..self.accounts).map(|account| (self.account(account), self.balance(state, account)));
        let data = match self.kind {
            Kind::Text => Data::Text(all.into_iter().find(|(name, _)| name == key)?.1.to_string()),
            Kind::Zset => Data::Zset(all.collect()),
            _ => Data::Hash(all.map(|(name, balance)| (name, balance.to_string())).collect()),
        };
        Some(data.into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        // Who has been paid now or will be, and anybody.
        let (some, any) = (near + rng.below(3), rng.next());
        let [a, b] = [some, *rng.pick(&[some + 1, any])].map(|n| self.account(n % self.accounts));
        let choices: &[&str] = match self.kind {
            Kind::Text => &["MGET {a} {b}", "GET {a}", "GET {b}", "MGET {all}"],
            Kind::Zset => &[
                "ZSCORE {k} {a}",
                "ZMSCORE {k} {a} {b}",
                "ZRANGE {k} 0 -1 WITHSCORES",
                "ZRANK {k} {a}",
                "ZRANGE {k} 0 1",
                "ZCOUNT {k} 1001 1001",
            ],
            _ => &[
                "HGET {k} {a}",
                "HGET {k} {b}",
                "HMGET {k} {a} {b}",
                "HGETALL {k}",
                "HVALS {k}",
            ],
        };
        let all: Vec<String> = (0..self.accounts).map(|account| self.account(account)).collect();
        let one = |rng: &mut Rng| {
            let text = rng
                .pick(choices)
                .replace("{k}", &self.name())
                .replace("{a}", &a)
                .replace("{b}", &b);
            line(&text.replace("{all}", &all.join(" ")))
        };
        match rng.one_in(8) {
            true => Unit::transaction(0, vec![one(rng), one(rng)]),
            false => Unit::single(0, one(rng)),
        }
    }
}
