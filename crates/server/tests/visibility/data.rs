//! What keys have: values of all kinds in which each element tells its generation, so that a mixture shows.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::Command;

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Text(String),
    Hash(BTreeMap<String, String>),
    List(Vec<String>),
    Set(BTreeSet<String>),
    /// The members with their scores.
    Zset(BTreeMap<String, i64>),
}

/// A key: its value, and when it expires, in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub data: Data,
    pub expires: Option<u64>,
}

impl From<Data> for Item {
    fn from(data: Data) -> Item {
        Item { data, expires: None }
    }
}

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Hash,
    List,
    Set,
    Zset,
}

/// All of them.
pub const KINDS: [Kind; 5] = [Kind::Text, Kind::Hash, Kind::List, Kind::Set, Kind::Zset];

/// How large a value is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Elements, or for a text so many times its generation; up to two more, as the generation has it.
    pub count: u64,
    /// Bytes by which each element is longer than it need be.
    pub pad: usize,
}

/// Few elements, short ones: what fits into a row.
pub const SMALL: Shape = Shape { count: 8, pad: 0 };
/// Few elements, each of them long.
pub const FAT: Shape = Shape { count: 8, pad: 700 };
/// More elements than are kept in one row.
pub const LARGE: Shape = Shape { count: 1500, pad: 0 };

/// The generation of what a transaction writes and removes again: nobody may ever see it.
pub const DIRTY: u64 = u64::MAX;

/// By how much the scores of two generations differ; more than there are elements.
pub const SCORES: i64 = 10_000;

impl Kind {
    /// As in names.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
        }
    }
}

impl Shape {
    /// As in names.
    pub fn name(self) -> &'static str {
        match (self.count, self.pad) {
            (0..64, 0) => "small",
            (0..64, _) => "fat",
            _ => "large",
        }
    }

    /// Elements in a generation.
    pub fn count(self, generation: u64) -> u64 {
        self.count + generation % 3
    }
}

/// How a generation is written.
fn tag(generation: u64) -> String {
    match generation {
        DIRTY => "dirty".to_owned(),
        n => n.to_string(),
    }
}

/// The name of the element at an index: a field, a member or an element of a list. Every other member of a set is the
/// same in all generations, and so are fields and members of sorted sets.
pub fn element(kind: Kind, shape: Shape, generation: u64, index: u64) -> String {
    let pad = "x".repeat(shape.pad);
    match kind {
        Kind::Hash => format!("f{index}"),
        Kind::Zset => format!("m{index}{pad}"),
        Kind::Set if index.is_multiple_of(2) => format!("m{index}{pad}"),
        Kind::Set | Kind::List | Kind::Text => format!("m{index}:{}{pad}", tag(generation)),
    }
}

/// The score of the element at an index: the order is another one in every other generation.
pub fn score(shape: Shape, generation: u64, index: u64) -> i64 {
    let place = match generation % 2 {
        0 => index,
        _ => shape.count(generation) - index,
    };
    match generation {
        DIRTY => -1 - place as i64,
        n => n as i64 * SCORES + place as i64,
    }
}

/// The value that a generation has.
pub fn content(kind: Kind, shape: Shape, generation: u64) -> Data {
    let indices = 0..shape.count(generation);
    let name = |index| element(kind, shape, generation, index);
    let value = format!("{}{}", tag(generation), "x".repeat(shape.pad));
    match kind {
        Kind::Text => Data::Text(format!("{value};").repeat(shape.count(generation) as usize)),
        Kind::Hash => Data::Hash(indices.map(|i| (name(i), value.clone())).collect()),
        Kind::List => Data::List(indices.map(name).collect()),
        Kind::Set => Data::Set(indices.map(name).collect()),
        Kind::Zset => Data::Zset(indices.map(|i| (name(i), score(shape, generation, i))).collect()),
    }
}

/// The command that makes a key of this value where there is none.
pub fn create(key: &str, data: &Data) -> Command {
    let (name, rest): (_, Vec<String>) = match data {
        Data::Text(text) => ("SET", vec![text.clone()]),
        Data::List(elements) => ("RPUSH", elements.clone()),
        Data::Set(members) => ("SADD", members.iter().cloned().collect()),
        Data::Hash(fields) => {
            let pairs = fields.iter().flat_map(|(field, value)| [field.clone(), value.clone()]);
            ("HSET", pairs.collect())
        }
        Data::Zset(members) => {
            let pairs = members
                .iter()
                .flat_map(|(member, score)| [score.to_string(), member.clone()]);
            ("ZADD", pairs.collect())
        }
    };
    let mut command = vec![name.to_owned(), key.to_owned()];
    command.extend(rest);
    command
}
