//! Many small collections at random: reads alone, and half and half with writes of their type.

use crate::error::Error;
use crate::report::Table;
use crate::sample::wait_for_rest;

use super::Args;
use super::collections::{Collections, Kind};
use super::lines::{LINES, Line, QUICK};
use super::pairs::{self, Both, measure};

/// Sizes, each with the part of `--keys` that there are of it.
const SIZES: [(u64, u64); 2] = [(10, 1), (100, 5)];

/// `--quick` leaves out larger collections.
const QUICK_ELEMENTS_MAX: u64 = 10;

/// What the reads are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// As many writes of the same type.
    Writes,
}

impl Beside {
    fn group(self) -> &'static str {
        match self {
            Self::Nothing => "small",
            Self::Writes => "mixed",
        }
    }

    /// What Haypile is to reach at least, as a part of Redis' operations per second.
    fn target(self, pipeline: u32) -> Option<f64> {
        match (self, pipeline) {
            (Self::Nothing, 1) => Some(0.8),
            (Self::Nothing, 16) => Some(0.6),
            (Self::Writes, 1 | 16) => Some(0.5),
            _ => None,
        }
    }

    /// The line's command, each time followed by one of the writes.
    fn commands(self, line: &Line, collections: &Collections) -> Vec<Vec<String>> {
        let read = collections.words(line.command);
        match self {
            Self::Nothing => vec![read],
            Self::Writes => {
                let writes = line.kind.writes().iter();
                writes
                    .flat_map(|write| [read.clone(), collections.words(write)])
                    .collect()
            }
        }
    }
}

/// Runs the lines; gives a table for each pipelining depth.
pub fn run(args: &Args, beside: Beside) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = args
        .pipeline
        .iter()
        .map(|pipeline| table(args, beside, *pipeline))
        .collect();
    for kind in [Kind::Hash, Kind::Zset, Kind::List, Kind::Set, Kind::String] {
        for collections in sizes(args, kind) {
            let lines: Vec<(String, &Line)> = LINES
                .iter()
                .filter(|line| line.kind == kind)
                .map(|line| (format!("{}{}", line.name, collections.size()), line))
                .filter(|(name, line)| {
                    let quick = QUICK.contains(&line.name) && collections.elements <= QUICK_ELEMENTS_MAX;
                    args.wants(beside.group(), name, quick)
                })
                .collect();
            if lines.is_empty() {
                continue;
            }
            let mut servers = loaded(args, &collections)?;
            for (name, line) in &lines {
                for (&pipeline, table) in args.pipeline.iter().zip(&mut tables) {
                    let commands = beside.commands(line, &collections);
                    let load = args.load(commands, pipeline, collections.keys);
                    let target = beside.target(pipeline);
                    table.rows.push(measure(args, name, &load, target, &mut servers)?);
                }
            }
        }
    }
    Ok(tables)
}

fn table(args: &Args, beside: Beside, pipeline: u32) -> Table {
    let what = match beside {
        Beside::Nothing => "small collections",
        Beside::Writes => "small collections, half reads and half writes of their type",
    };
    Table {
        title: format!(
            "{what}, -P {pipeline}: {} connections, medians of {} pairs; {} of 10 elements, a fifth as many of 100, {} bytes each",
            args.clients, args.pairs, args.keys, args.element_bytes
        ),
        header: pairs::header(),
        rows: Vec::new(),
    }
}

fn sizes(args: &Args, kind: Kind) -> Vec<Collections> {
    let of = |elements: u64, part: u64| Collections {
        kind,
        keys: (args.keys / part).max(1),
        elements,
        element_bytes: args.element_bytes,
    };
    match kind {
        Kind::String => vec![of(1, 1)],
        _ => SIZES.map(|(elements, part)| of(elements, part)).into(),
    }
}

/// Fresh servers that hold the collections.
fn loaded(args: &Args, collections: &Collections) -> Result<Both, Error> {
    let mut servers = args.start()?;
    for server in &servers {
        collections.load(&mut server.client()?)?;
    }
    wait_for_rest(&mut servers)?;
    Ok(servers)
}
