//! Shapes: what commands cost on collections of each kind and size, beside Redis in the same run.
//!
//! `compare` measures what redis-benchmark measures: a few large keys. Here are many small collections, sizes that
//! double, values from bytes to megabytes. Each group starts its own servers and gives tables; its lines are data.

mod budget;
mod collections;
mod first;
mod lines;
mod load;
mod memory;
mod pairs;
mod sizes;
mod small;
mod stream;
mod values;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::report;

use self::load::Load;
use self::pairs::Both;
use self::small::Beside;

/// A group of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Reads of many small collections
    Small,
    /// The same, half and half with writes of their type
    Mixed,
    /// What many small collections take in memory and on disk
    Memory,
    /// Commands timed over sizes that double
    Sizes,
    /// Values from bytes to megabytes
    Values,
    /// Reads beside a strong stream of writes
    Stream,
    /// `compare` at -P 16 in ten pairs, with --old also the new program beside the old one
    First,
    /// Collections larger than the memory budget
    Budget,
}

impl Group {
    /// What is measured when nothing is named.
    const BESIDE_REDIS: &[Self] = &[
        Self::Small,
        Self::Mixed,
        Self::Memory,
        Self::Sizes,
        Self::Values,
        Self::Stream,
    ];
}

/// The budget of [`Group::Budget`] when none is given.
const BUDGET: u64 = 256 << 20;

/// Arguments of `shapes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Groups to measure, separated by commas [default: those beside Redis; with --budget or --old only what they are for]
    #[arg(long, value_enum, value_delimiter = ',')]
    groups: Vec<Group>,
    /// Only lines whose `group: name` contains this, whatever the case; may be repeated
    #[arg(long)]
    filter: Vec<String>,
    /// How often each line is run against each server
    #[arg(long, default_value_t = 3, default_value_if("quick", "true", "1"))]
    pairs: usize,
    /// How long a run is to take
    #[arg(long, default_value_t = 1.0, default_value_if("quick", "true", "0.4"))]
    seconds: f64,
    /// Connections
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Pipelining depths
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pipeline: Vec<u32>,
    /// small, mixed, memory: how many collections of ten elements; of a hundred there are a fifth as many
    #[arg(long, default_value_t = 100_000, default_value_if("quick", "true", "50000"))]
    keys: u64,
    /// sizes: they double from 1,000 up to this
    #[arg(long, default_value_t = 1_024_000, default_value_if("quick", "true", "128000"))]
    n_max: u64,
    /// budget: Haypile's memory budget, such as 256mb
    #[arg(long, value_parser = parse_bytes)]
    budget: Option<u64>,
    /// budget: how many times larger the data is
    #[arg(long, default_value_t = 4)]
    factor: u64,
    /// first: an older program of Haypile
    #[arg(long)]
    old: Option<PathBuf>,
    /// Bytes of an element
    #[arg(long, default_value_t = 16)]
    element_bytes: u32,
    /// Have this program send also what redis-benchmark could; it reads long replies at less cost
    #[arg(long)]
    own_client: bool,
    /// Only the most important lines, once each, on less data: five minutes
    #[arg(long)]
    quick: bool,
    /// Haypile's program
    #[arg(long, default_value = "bin/haypile")]
    haypile: PathBuf,
    /// Redis' program
    #[arg(long, default_value = "redis-server")]
    redis: PathBuf,
    /// A further argument for Haypile, such as --haypile-arg=--io-threads=4; may be repeated
    #[arg(long)]
    haypile_arg: Vec<String>,
    /// Where the servers' directories are made [default: the system's place for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the tables to this file, too
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Write the tables to this file as JSON, too
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the groups, one after the other.
pub fn run(args: &Args) -> Result<(), Error> {
    interrupt::install()?;
    if [args.pairs as u64, args.keys, args.factor, args.clients.into()].contains(&0) || args.pipeline.contains(&0) {
        return Err(Error::Usage(
            "--pairs, --keys, --factor, --clients and --pipeline must be above 0".into(),
        ));
    }
    println!("{}", report::machine());
    let groups = match (args.groups.as_slice(), args.budget, &args.old) {
        ([], None, None) => Group::BESIDE_REDIS,
        ([], Some(_), None) => &[Group::Budget],
        ([], None, Some(_)) => &[Group::First],
        ([], Some(_), Some(_)) => &[Group::First, Group::Budget],
        (groups, ..) => groups,
    };
    let mut tables = Vec::new();
    for group in groups {
        let mut new = match group {
            Group::Small => small::run(args, Beside::Nothing)?,
            Group::Mixed => small::run(args, Beside::Writes)?,
            Group::Memory => memory::run(args)?,
            Group::Sizes => sizes::run(args)?,
            Group::Values => values::run(args)?,
            Group::Stream => stream::run(args)?,
            Group::First => first::run(args)?,
            Group::Budget => budget::run(args, args.budget.unwrap_or(BUDGET))?,
        };
        new.retain(|table| !table.rows.is_empty());
        new.iter().for_each(|table| print!("{}", table.text()));
        tables.extend(new);
        // After each group, so that an interrupted run leaves what it has measured.
        report::write(&tables, args.markdown.as_deref(), args.json.as_deref())?;
    }
    Ok(())
}

/// Bytes, with `kb`, `mb` or `gb` behind the number as in Redis' configuration.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30), ("", 0)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        let number: u64 = lower.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
    });
    parsed.ok_or_else(|| "expected a number of bytes above 0, such as 256mb".into())
}

impl Args {
    /// Whether a line is to be run.
    fn wants(&self, group: &str, name: &str, quick: bool) -> bool {
        let label = format!("{group}: {name}").to_lowercase();
        let chosen = |filter: &String| label.contains(&filter.to_lowercase());
        (quick || !self.quick) && (self.filter.is_empty() || self.filter.iter().any(chosen))
    }

    fn load(&self, commands: Vec<Vec<String>>, pipeline: u32, keyspace: u64) -> Load {
        Load {
            commands,
            own_client: self.own_client,
            clients: self.clients,
            pipeline,
            keyspace,
        }
    }

    /// Fresh servers.
    fn start(&self) -> Result<Both, Error> {
        let dir = self.dir.as_deref();
        Ok([
            Server::start(&Peer::redis(&self.redis), dir)?,
            Server::start(&Peer::haypile(&self.haypile).with(&self.haypile_arg), dir)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_with_units() {
        assert_eq!(parse_bytes("256mb"), Ok(256 << 20));
        assert_eq!(parse_bytes("1GB"), Ok(1 << 30));
        assert_eq!(parse_bytes("1000"), Ok(1000));
        for text in ["", "mb", "0", "-1", "1 mb", "99999999999gb"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
