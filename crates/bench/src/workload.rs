//! The tests: the line of each, and the data it needs to find.
//!
//! Reads and pops must hit, otherwise they measure the way to "not there". So GET finds every key, and a popping test
//! finds at least as many elements as it takes; what is missing is filled in before the clock starts. The elements are
//! those that `redis-benchmark` makes up itself: `key:` or `element:` and twelve digits.

use clap::ValueEnum;

use crate::client::{Client, encode};
use crate::error::Error;
use crate::redis_benchmark::{Line, What};

/// LRANGE_100 reads the head of a list this long, unless it is longer already.
const LRANGE_LIST_LEN: u64 = 100_000;
/// How deep filling pipelines where redis-benchmark does it.
const FILL_PIPELINE: u32 = 64;

/// A test of `redis-benchmark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the commands")]
pub enum Test {
    Set,
    Get,
    Incr,
    Hset,
    Lpush,
    Rpop,
    Sadd,
    Spop,
    Zadd,
    Zpopmin,
    #[value(name = "lrange_100")]
    Lrange100,
    Mset,
}

impl Test {
    /// As it stands in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
            Self::Incr => "INCR",
            Self::Hset => "HSET",
            Self::Lpush => "LPUSH",
            Self::Rpop => "RPOP",
            Self::Sadd => "SADD",
            Self::Spop => "SPOP",
            Self::Zadd => "ZADD",
            Self::Zpopmin => "ZPOPMIN",
            Self::Lrange100 => "LRANGE_100",
            Self::Mset => "MSET",
        }
    }

    /// What `redis-benchmark` sends.
    pub fn what(self) -> What {
        match self {
            Self::Set => What::Test("set"),
            Self::Get => What::Test("get"),
            Self::Incr => What::Test("incr"),
            Self::Hset => What::Test("hset"),
            Self::Lpush => What::Test("lpush"),
            Self::Rpop => What::Test("rpop"),
            Self::Sadd => What::Test("sadd"),
            Self::Spop => What::Test("spop"),
            Self::Zadd => What::Test("zadd"),
            Self::Zpopmin => What::Test("zpopmin"),
            // Its own test `lrange_100` sends the same bytes, but fills the list first in the same run, which would
            // count towards the server's CPU time.
            Self::Lrange100 => What::Command(["LRANGE", "mylist", "0", "99"].map(str::to_owned).into()),
            Self::Mset => What::Test("mset"),
        }
    }

    /// The most operations that a run can do: a set or sorted set holds no more elements than there are names.
    pub fn requests_max(self, keyspace: u64) -> u64 {
        if matches!(self, Self::Spop | Self::Zpopmin) {
            keyspace
        } else {
            u64::MAX
        }
    }

    /// Brings a server into the state in which `line` is run against it.
    pub fn prepare(self, port: u16, line: &Line) -> Result<(), Error> {
        let mut client = Client::connect(port)?;
        let keyspace = line.keyspace;
        let scatter = Scatter::new(keyspace);
        match self {
            Self::Set | Self::Get | Self::Mset => {
                // The last name marks that the keys have been loaded.
                if client.integer(&["EXISTS", &marker(keyspace)])? == 0 {
                    load_keys(&mut client, keyspace, line.value_bytes)?;
                    client.ask(&["SET", &marker(keyspace), "1"])?;
                }
            }
            Self::Incr => {}
            Self::Hset => remove(&mut client, "myhash")?,
            Self::Lpush => remove(&mut client, "mylist")?,
            Self::Sadd => remove(&mut client, "myset")?,
            Self::Zadd => remove(&mut client, "myzset")?,
            Self::Rpop => fill_list(&mut client, port, line, line.requests)?,
            Self::Lrange100 => fill_list(&mut client, port, line, LRANGE_LIST_LEN)?,
            Self::Spop => {
                if client.integer(&["SCARD", "myset"])? < line.requests {
                    client.pipeline(keyspace, |i, out| {
                        encode(out, &["SADD", "myset", &format!("element:{:012}", scatter.at(i))]);
                    })?;
                }
            }
            Self::Zpopmin => {
                if client.integer(&["ZCARD", "myzset"])? < line.requests {
                    client.pipeline(keyspace, |i, out| {
                        let member = format!("element:{:012}", scatter.at(i));
                        encode(out, &["ZADD", "myzset", &scatter.at(i + 1).to_string(), &member]);
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn marker(keyspace: u64) -> String {
    format!("haypile-bench:loaded:{keyspace}")
}

fn remove(client: &mut Client, key: &str) -> Result<(), Error> {
    client.ask(&["UNLINK", key]).map(drop)
}

fn fill_list(client: &mut Client, port: u16, line: &Line, wanted: u64) -> Result<(), Error> {
    let missing = wanted.saturating_sub(client.integer(&["LLEN", "mylist"])?);
    if missing > 0 {
        let pipeline = u64::from(FILL_PIPELINE);
        // In whole pipelines, or redis-benchmark sends none.
        let requests = missing.div_ceil(pipeline) * pipeline;
        Line {
            pipeline: FILL_PIPELINE,
            requests,
            what: What::Test("lpush"),
            ..line.clone()
        }
        .run(port)?;
    }
    Ok(())
}

/// SETs `key:000000000000` and so on up to `count` keys, in scattered order, with values that do not compress.
pub fn load_keys(client: &mut Client, count: u64, value_bytes: u32) -> Result<(), Error> {
    let (mut noise, scatter) = (Noise::new(), Scatter::new(count));
    client.pipeline(count, |i, out| {
        let key = format!("key:{:012}", scatter.at(i));
        encode(out, &[b"SET", key.as_bytes(), &noise.letters(value_bytes)]);
    })
}

/// The numbers below `count` in an order that visits each once and does not follow their size.
#[derive(Clone, Copy, Debug)]
pub struct Scatter {
    count: u64,
    step: u64,
}

impl Scatter {
    /// `count` must be above 0.
    pub fn new(count: u64) -> Self {
        // Near the golden section, so neighbours land far apart; stepped until it has no divisor with `count`.
        let golden = (count as f64 * 0.618_034) as u64;
        let step = (golden..count).find(|step| gcd(*step, count) == 1).unwrap_or(1);
        Self { count, step }
    }

    /// The i-th number; the order begins anew after the last.
    pub fn at(&self, i: u64) -> u64 {
        let product = u128::from(i) * u128::from(self.step) % u128::from(self.count);
        // A remainder of a u64 fits into one.
        product as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Numbers without a pattern, the same for the same seed (SplitMix64).
#[derive(Debug)]
pub struct Pick(u64);

impl Pick {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(z ^ (z >> 31)) * u128::from(bound)) >> 64) as u64
    }
}

/// Letters without a pattern, the same in every run (xorshift64*).
#[derive(Debug)]
pub struct Noise(u64);

impl Noise {
    /// From a fixed seed.
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// The next `count` letters.
    pub fn letters(&mut self, count: u32) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 >> 12;
                self.0 ^= self.0 << 25;
                self.0 ^= self.0 >> 27;
                b' ' + (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 58) as u8
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_number_is_visited_once() {
        for count in [1, 2, 7, 10, 1000, 4096, 10_000] {
            let scatter = Scatter::new(count);
            let seen: HashSet<u64> = (0..count).map(|i| scatter.at(i)).collect();
            assert_eq!(seen.len() as u64, count);
            assert!(seen.iter().all(|i| *i < count));
        }
    }

    #[test]
    fn noise_has_its_length_and_is_printable() {
        let letters = Noise::new().letters(1000);
        assert_eq!(letters.len(), 1000);
        assert!(letters.iter().all(|b| (32..96).contains(b)));
    }
}
