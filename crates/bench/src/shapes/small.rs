//! Many small collections, read at random.

use crate::error::Error;
use crate::report::Table;
use crate::sample::wait_for_rest;

use super::Args;
use super::collections::{Collections, Kind};
use super::lines::{LINES, Line, QUICK};
use super::load::Load;
use super::pairs::{self, Both, measure};

/// Sizes, each with the part of `--keys` that there are of it.
const SIZES: [(u64, u64); 2] = [(10, 1), (100, 5)];

/// What Haypile is to reach at least, as a part of Redis' operations per second.
fn target(pipeline: u32) -> Option<f64> {
    match pipeline {
        1 => Some(0.8),
        16 => Some(0.6),
        _ => None,
    }
}

/// Runs the lines; gives a table for each pipelining depth.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = args.pipeline.iter().map(|pipeline| table(args, *pipeline)).collect();
    for kind in [Kind::Hash, Kind::Zset, Kind::List, Kind::Set, Kind::String] {
        for collections in sizes(args, kind) {
            let lines: Vec<(String, &Line)> = LINES
                .iter()
                .filter(|line| line.kind == kind)
                .map(|line| (format!("{}{}", line.name, collections.size()), line))
                .filter(|(name, line)| args.wants("small", name, QUICK.contains(&line.name)))
                .collect();
            if lines.is_empty() {
                continue;
            }
            let mut servers = loaded(args, &collections)?;
            for (name, line) in &lines {
                for (&pipeline, table) in args.pipeline.iter().zip(&mut tables) {
                    let load = Load {
                        command: collections.words(line.command),
                        clients: args.clients,
                        pipeline,
                        keyspace: collections.keys,
                    };
                    table
                        .rows
                        .push(measure(args, name, &load, target(pipeline), &mut servers)?);
                }
            }
        }
    }
    Ok(tables)
}

fn table(args: &Args, pipeline: u32) -> Table {
    Table {
        title: format!(
            "small collections, -P {pipeline}: -c {}, medians of {} pairs; {} of 10 elements, a fifth as many of 100, {} bytes each",
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
