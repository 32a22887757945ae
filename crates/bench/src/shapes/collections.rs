//! The data that the lines find: many collections of one type and size, whose elements do not compress.
//!
//! Keys are `TYPE:SIZE:` and twelve digits, as redis-benchmark makes them up. Names of hash fields are the same in every
//! hash, as they are in the world; in sets and sorted sets one member, [`KNOWN`], is the same in all of them, so that a
//! command can name an element that is there.

use crate::client::{Client, encode};
use crate::error::Error;
use crate::redis_benchmark::RANDOM;
use crate::workload::{Noise, Pick, Scatter};

/// The member that every set and sorted set has.
pub const KNOWN: &str = "known-element";
/// Scores come from 0 up to this.
pub const SCORES: u64 = 1_000_000;
/// Digits of a key.
const KEY_DIGITS: u64 = 12;
/// Bytes that a score counts for.
const SCORE_BYTES: u64 = 8;
/// Bytes of a string's value.
pub const STRING_BYTES: u32 = 64;

/// A type of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string of [`STRING_BYTES`].
    String,
    /// Fields `field:0` and so on.
    Hash,
    /// Random scores.
    Zset,
    /// A list.
    List,
    /// A set.
    Set,
}

impl Kind {
    /// The start of the keys' names.
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::Zset => "zset",
            Self::List => "list",
            Self::Set => "set",
        }
    }

    /// Commands that write this type and leave a collection about as large as it was, however often they run.
    pub fn writes(self) -> &'static [&'static str] {
        match self {
            Self::String => &["SET {key} __rand_int__"],
            Self::Hash => &["HSET {key} field:3 __rand_int__"],
            Self::Zset => &["ZADD {key} __rand_int__ known-element"],
            Self::List => &["LPUSH {key} __rand_int__", "LTRIM {key} 0 {last}"],
            Self::Set => &["SADD {key} another", "SREM {key} another"],
        }
    }
}

/// Many collections of one type and size.
#[derive(Clone, Copy, Debug)]
pub struct Collections {
    /// Their type.
    pub kind: Kind,
    /// How many.
    pub keys: u64,
    /// Elements of each; 1 for strings.
    pub elements: u64,
    /// Bytes of an element: a member, or the value of a field.
    pub element_bytes: u32,
}

impl Collections {
    /// As many as have together so many bytes: keys, elements, names of fields, and eight for a score.
    pub fn of_bytes(kind: Kind, elements: u64, element_bytes: u32, bytes: u64) -> Self {
        let mut collections = Self {
            kind,
            keys: 1,
            elements,
            element_bytes,
        };
        let key = collections.prefix().len() as u64 + KEY_DIGITS;
        let beside = match kind {
            Kind::Hash => "field:0".len() as u64,
            Kind::Zset => SCORE_BYTES,
            Kind::String | Kind::List | Kind::Set => 0,
        };
        collections.keys = (bytes / (key + elements * (u64::from(element_bytes) + beside))).max(1);
        collections
    }

    /// Writes them, one command for each, in pipelines over one connection.
    pub fn load(&self, client: &mut Client) -> Result<(), Error> {
        let (mut noise, mut pick, scatter) = (Noise::new(), Pick::new(self.elements), Scatter::new(self.keys));
        client.pipeline(self.keys, |i, out| {
            encode(out, &self.command(scatter.at(i), &mut noise, &mut pick));
        })
    }

    fn command(&self, key: u64, noise: &mut Noise, pick: &mut Pick) -> Vec<Vec<u8>> {
        let mut words = vec![self.verb().into(), format!("{}{key:012}", self.prefix()).into_bytes()];
        for i in 0..self.elements {
            let mut member = || match i == self.elements / 2 {
                true => KNOWN.into(),
                false => noise.letters(self.element_bytes),
            };
            match self.kind {
                Kind::String => words.push(noise.letters(STRING_BYTES)),
                Kind::Hash => words.extend([format!("field:{i}").into_bytes(), noise.letters(self.element_bytes)]),
                Kind::Zset => words.extend([pick.below(SCORES).to_string().into_bytes(), member()]),
                Kind::List => words.push(noise.letters(self.element_bytes)),
                Kind::Set => words.push(member()),
            }
        }
        words
    }

    /// The command that writes one.
    pub fn verb(&self) -> &'static str {
        match self.kind {
            Kind::String => "SET",
            Kind::Hash => "HSET",
            Kind::Zset => "ZADD",
            Kind::List => "RPUSH",
            Kind::Set => "SADD",
        }
    }

    /// A command's words, in which `{key}` stands for the key of a random one, and `{last}` for the index of its last
    /// element.
    pub fn words(&self, template: &str) -> Vec<String> {
        let (key, last) = (format!("{}{RANDOM}", self.prefix()), (self.elements - 1).to_string());
        let whole = |word: &str| word.replace("{key}", &key).replace("{last}", &last);
        template.split(' ').map(whole).collect()
    }

    /// As in `of 10`.
    pub fn size(&self) -> String {
        match self.kind {
            Kind::String => String::new(),
            _ => format!(" of {}", self.elements),
        }
    }

    fn prefix(&self) -> String {
        format!("{}:{}:", self.kind.name(), self.elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collections(kind: Kind) -> Collections {
        Collections {
            kind,
            keys: 7,
            elements: 10,
            element_bytes: 16,
        }
    }

    #[test]
    fn commands_have_all_elements_and_the_known_one() {
        for (kind, words, known) in [
            (Kind::Hash, 22, 0),
            (Kind::Zset, 22, 1),
            (Kind::List, 12, 0),
            (Kind::Set, 12, 1),
        ] {
            let command = collections(kind).command(3, &mut Noise::new(), &mut Pick::new(1));
            assert_eq!(command.len(), words);
            assert_eq!(command[1], format!("{}:10:000000000003", kind.name()).into_bytes());
            assert_eq!(command.iter().filter(|word| *word == KNOWN.as_bytes()).count(), known);
        }
    }

    #[test]
    fn bytes_are_those_of_keys_and_elements() {
        // `hash:10:` and twelve digits, ten fields of `field:0` and 16 bytes.
        assert_eq!(Collections::of_bytes(Kind::Hash, 10, 16, 2500).keys, 10);
        assert_eq!(Collections::of_bytes(Kind::Set, 10, 16, 1790).keys, 10);
        assert_eq!(Collections::of_bytes(Kind::Set, 10, 16, 1).keys, 1);
    }

    #[test]
    fn a_template_names_a_random_key() {
        let words = collections(Kind::Set).words("SINTER {key} {key}");
        assert_eq!(words, ["SINTER", "set:10:__rand_int__", "set:10:__rand_int__"]);
        let words = collections(Kind::List).words("LTRIM {key} 0 {last}");
        assert_eq!(words, ["LTRIM", "list:10:__rand_int__", "0", "9"]);
    }
}
