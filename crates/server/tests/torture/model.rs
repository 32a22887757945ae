//! What a connection's keys should be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use haypile_testkit::Value;

/// A database and a key.
pub type Name = (u16, String);

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Text(String),
    /// What was added. The server keeps an estimate of how many there are, which is exact for those that are used here.
    Hll(BTreeSet<String>),
    List(VecDeque<String>),
    Hash(BTreeMap<String, String>),
    Set(BTreeSet<String>),
    Zset(BTreeMap<String, i64>),
}

/// A key: its value, and when it expires, in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub data: Data,
    pub expires: Option<u64>,
}

/// A key whose expiry is less than this away may be gone before the next command, milliseconds.
pub const SOON_MS: u64 = 3_600_000;

/// The keys of one connection, in all databases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub items: BTreeMap<Name, Item>,
}

/// What a reply must be.
#[derive(Clone, Debug)]
pub enum Expected {
    Is(Value),
    /// An error that starts so.
    Error(&'static str),
    /// The replies of a transaction.
    All(Vec<Expected>),
    /// Anything but an error: it depends on the time.
    Anything,
}

impl State {
    pub fn get(&self, db: u16, key: &str) -> Option<&Item> {
        self.items.get(&(db, key.to_owned()))
    }

    /// True if the key expires soon, or has: then only what overwrites it has a certain outcome.
    pub fn is_mortal(&self, db: u16, key: &str, now_ms: u64) -> bool {
        self.get(db, key).is_some_and(|item| item.dies_before(now_ms + SOON_MS))
    }

    /// Forgets the keys that have expired.
    pub fn bury(&mut self, now_ms: u64) {
        self.items.retain(|_, item| !item.dies_before(now_ms));
    }

    /// Where `actual`, read between two times, is not what it should be: `None` if it is.
    pub fn difference(&self, actual: &State, (before_ms, after_ms): (u64, u64)) -> Option<String> {
        let mut wrong = Vec::new();
        for (name, item) in &self.items {
            let got = actual.items.get(name);
            let right = match got {
                Some(got) => got == item && !item.dies_before(before_ms),
                None => item.dies_before(after_ms),
            };
            if !right {
                wrong.push(format!("{} is {}, and should be {item}", show(name), shown(got)));
            }
        }
        for (name, item) in &actual.items {
            if !self.items.contains_key(name) {
                wrong.push(format!("{} is {item}, and should not be", show(name)));
            }
        }
        (!wrong.is_empty()).then(|| wrong.join("\n    "))
    }
}

impl Item {
    pub fn new(data: Data) -> Item {
        Item { data, expires: None }
    }

    /// True if it is gone at this time.
    fn dies_before(&self, at_ms: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= at_ms)
    }
}

fn show((db, key): &Name) -> String {
    format!("{key} in database {db}")
}

fn shown(item: Option<&Item>) -> String {
    item.map_or("missing".into(), Item::to_string)
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{:?}", self.data);
        if text.len() > 300 {
            text.truncate(text.floor_char_boundary(300));
            text += " ...";
        }
        write!(f, "{text}")?;
        self.expires.map_or(Ok(()), |at| write!(f, " until {at}"))
    }
}

impl Expected {
    pub fn ok() -> Expected {
        Expected::Is(Value::Simple("OK".into()))
    }

    pub fn int(value: impl TryInto<i64>) -> Expected {
        Expected::Is(Value::Integer(value.try_into().unwrap_or(i64::MAX)))
    }

    pub fn bulk(text: impl Into<String>) -> Expected {
        Expected::Is(Value::Bulk(text.into().into_bytes()))
    }

    /// A bulk string, or null.
    pub fn maybe(text: Option<String>) -> Expected {
        text.map_or(Expected::Is(Value::Null), Expected::bulk)
    }

    pub fn wrong_type() -> Expected {
        Expected::Error("WRONGTYPE ")
    }

    /// True if the reply is right.
    pub fn admits(&self, reply: &Value) -> bool {
        match self {
            Expected::Is(value) => value == reply,
            Expected::Error(start) => reply.as_error().is_some_and(|error| error.starts_with(start)),
            Expected::All(all) => match reply {
                Value::Array(replies) if replies.len() == all.len() => {
                    all.iter().zip(replies).all(|(expected, reply)| expected.admits(reply))
                }
                _ => false,
            },
            Expected::Anything => reply.as_error().is_none(),
        }
    }
}
