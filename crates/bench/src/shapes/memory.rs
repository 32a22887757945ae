//! What many small collections take in memory and on disk.

use std::slice;
use std::time::Instant;

use crate::error::Error;
use crate::peer::Server;
use crate::report::{Table, met, thousands};
use crate::sample::wait_for_rest;

use super::Args;
use super::collections::{Collections, Kind};

/// Each type with the elements of a collection; there are `--keys` of each.
const TYPES: [(Kind, u64); 4] = [(Kind::Hash, 10), (Kind::Zset, 20), (Kind::List, 10), (Kind::Set, 10)];
/// Haypile is to take at most so many times what Redis takes.
const TIMES_MAX: f64 = 2.5;
const MIB: f64 = (1 << 20) as f64;

/// Loads both servers; gives a row for each.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    if !args.wants("memory", "memory", true) {
        return Ok(Vec::new());
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut redis_bytes = None;
    for server in &mut args.start()? {
        let start = Instant::now();
        let mut client = server.client()?;
        for (kind, elements) in TYPES {
            Collections {
                kind,
                keys: args.keys,
                elements,
                element_bytes: args.element_bytes,
            }
            .load(&mut client)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        wait_for_rest(slice::from_mut(server))?;
        let bytes = server.process()?.resident()?.0;
        rows.push(row(server, seconds, bytes, *redis_bytes.get_or_insert(bytes))?);
    }
    Ok(vec![Table {
        title: format!(
            "memory: {} collections: as many hashes, lists and sets of 10 as sorted sets of 20, elements of {} bytes",
            thousands((args.keys * TYPES.len() as u64) as f64),
            args.element_bytes
        ),
        header: [
            "server",
            "loading s",
            "resident MiB",
            "without file pages MiB",
            "peak MiB",
            "on disk MiB",
            "times redis",
            "target",
            "met",
        ]
        .map(str::to_owned)
        .into(),
        rows,
    }])
}

fn row(server: &mut Server, seconds: f64, bytes: u64, redis_bytes: u64) -> Result<Vec<String>, Error> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
    let anonymous = server.process()?.resident()?.1;
    let peak = server.process()?.peak_resident()?;
    let mut row = vec![
        server.name().to_owned(),
        format!("{seconds:.1}"),
        mib(bytes),
        mib(anonymous),
        mib(peak),
        mib(server.disk_bytes()?),
    ];
    let times = bytes as f64 / redis_bytes as f64;
    row.extend(match server.name() {
        "redis" => [String::new(), String::new(), String::new()],
        _ => [
            format!("{times:.2}"),
            format!("<= {TIMES_MAX}"),
            met(times <= TIMES_MAX),
        ],
    });
    Ok(row)
}
