//! Small collections that are several times larger than the memory budget: CPU time beside that of Apache Kvrocks.
//!
//! Kvrocks does not run here. Its figures are constants, measured with its default configuration and as much memory on
//! a machine with two shared cores; CPU time for each operation travels between machines better than throughput.

use std::slice;

use crate::error::Error;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::Measured;
use crate::report::{Table, met, thousands};
use crate::sample::{Sample, median_of, sample, wait_for_rest};

use super::Args;
use super::collections::{Collections, Kind};

/// Each type with the elements of a collection, and Kvrocks' CPU time for the command that writes one, in a pipeline
/// over one connection, microseconds.
const TYPES: [(Kind, u64, f64); 4] = [
    (Kind::Hash, 10, 14.0),
    (Kind::Zset, 20, 35.0),
    (Kind::List, 10, 16.0),
    (Kind::Set, 10, 23.0),
];

/// A command against random keys, and Kvrocks' CPU time for it, microseconds.
#[rustfmt::skip]
const LINES: [(Kind, &str, &str, f64); 10] = [
    (Kind::Hash, "HGETALL", "HGETALL {key}", 13.7),
    (Kind::Zset, "ZRANGE", "ZRANGE {key} 0 -1", 12.4),
    (Kind::List, "LRANGE", "LRANGE {key} 0 -1", 12.8),
    (Kind::Set, "SMEMBERS", "SMEMBERS {key}", 12.1),
    (Kind::Zset, "ZRANK", "ZRANK {key} known-element", 15.0),
    (Kind::Hash, "HGET", "HGET {key} field:7", 6.3),
    (Kind::Hash, "HSET", "HSET {key} field:3 __rand_int__", 8.2),
    (Kind::Zset, "ZADD", "ZADD {key} __rand_int__ known-element", 8.9),
    (Kind::List, "LPUSH", "LPUSH {key} __rand_int__", 9.2),
    (Kind::Set, "SADD", "SADD {key} __rand_int__", 7.8),
];

/// The figures' pipelining depth.
const PIPELINE: u32 = 16;
const MIB: f64 = (1 << 20) as f64;

/// Loads a server with the budget, and runs the lines against it.
pub fn run(args: &Args, budget: u64) -> Result<Vec<Table>, Error> {
    let peer = Peer::haypile(&args.haypile).with(&["--memory-budget".into(), budget.to_string()]);
    let mut server = [Server::start(&peer.with(&args.haypile_arg), args.dir.as_deref())?];
    let share = budget * args.factor / TYPES.len() as u64;
    let (mut rows, mut loaded) = (Vec::new(), Vec::new());
    for (kind, elements, kvrocks) in TYPES {
        let collections = Collections::of_bytes(kind, elements, args.element_bytes, share);
        let name = format!("loading, {}", collections.verb());
        rows.push(row(
            &name,
            &[load(&collections, &mut server)?],
            kvrocks,
            &mut server[0],
        )?);
        loaded.push(collections);
    }
    for (kind, name, command, kvrocks) in LINES {
        let Some(collections) = loaded.iter().find(|collections| collections.kind == kind) else {
            continue;
        };
        let name = format!("{name}{}", collections.size());
        if args.wants("budget", &name, true) {
            let load = args.load(vec![collections.words(command)], PIPELINE, collections.keys);
            let requests = load.requests_for(server[0].port, args.seconds)?;
            let samples = (0..args.pairs)
                .map(|_| sample(&mut server, 0, requests, |port| load.run(port, requests)))
                .collect::<Result<Vec<_>, _>>()?;
            rows.push(row(&name, &samples, kvrocks, &mut server[0])?);
        }
    }
    let keys: u64 = loaded.iter().map(|collections| collections.keys).sum();
    let what = format!(
        "budget {:.0} MiB, {} collections with {} times as many bytes",
        budget as f64 / MIB,
        thousands(keys as f64),
        args.factor
    );
    let lines = Table {
        title: format!("{what}, -P {PIPELINE}, medians of {} runs", args.pairs),
        header: [
            "line",
            "ops/s",
            "p99 ms",
            "after us/op",
            "CPU us/op",
            "Kvrocks' CPU us/op",
            "met",
            "resident MiB",
        ]
        .map(str::to_owned)
        .into(),
        rows,
    };
    Ok(vec![lines, memory(what, budget, &mut server[0])?])
}

/// What the server takes after all lines, and has taken at most.
fn memory(title: String, budget: u64, server: &mut Server) -> Result<Table, Error> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
    let row = |figure: &str, bytes: u64| {
        let target = format!("<= {}", mib(budget));
        vec![figure.to_owned(), mib(bytes), target, met(bytes <= budget)]
    };
    let process = server.process()?;
    let mut rows = vec![
        row("resident", process.resident()?.0),
        row("resident at most", process.peak_resident()?),
    ];
    let disk = mib(server.disk_bytes()?);
    rows.push(vec!["on disk".to_owned(), disk, String::new(), String::new()]);
    Ok(Table {
        title,
        header: ["memory", "MiB", "target", "met"].map(str::to_owned).into(),
        rows,
    })
}

/// Writes the collections; gives what each command took.
fn load(collections: &Collections, server: &mut [Server; 1]) -> Result<Sample, Error> {
    sample(server, 0, collections.keys, |port| {
        let start = std::time::Instant::now();
        collections.load(&mut crate::client::Client::connect(port)?)?;
        Ok(Measured {
            ops_per_s: collections.keys as f64 / start.elapsed().as_secs_f64(),
            p50_ms: f64::NAN,
            p99_ms: f64::NAN,
        })
    })
}

fn row(name: &str, samples: &[Sample], kvrocks: f64, server: &mut Server) -> Result<Vec<String>, Error> {
    wait_for_rest(slice::from_mut(server))?;
    let (cpu, p99) = (median_of(samples, |s| s.cpu_us), median_of(samples, |s| s.p99_ms));
    let row = vec![
        name.to_owned(),
        thousands(median_of(samples, |s| s.ops_per_s)),
        if p99.is_nan() {
            String::new()
        } else {
            format!("{p99:.3}")
        },
        format!("{:.2}", median_of(samples, |s| s.after_us)),
        format!("{cpu:.2}"),
        format!("{kvrocks:.1}"),
        met(cpu <= kvrocks),
        format!("{:.1}", server.process()?.resident()?.0 as f64 / MIB),
    ];
    println!("{}", row.join("  "));
    Ok(row)
}
