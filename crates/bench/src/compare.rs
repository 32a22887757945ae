//! The comparison: the same `redis-benchmark` lines against every peer in turn, pair after pair.
//!
//! All peers run at the same time, but one line at a time, and a line starts when every peer has come to rest
//! ([`crate::sample`]).

use std::path::PathBuf;

use clap::ValueEnum;

use crate::error::Error;
use crate::interrupt;
use crate::older;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::Line;
use crate::report::{self, Table, thousands};
use crate::sample::{Sample, median_of, pair_ratio, sample};
use crate::targets::target;
use crate::workload::Test;

/// Commands in the run that finds out how many make a run of the wished length, for each pipelining depth.
const TRIAL_REQUESTS: u64 = 20_000;
/// `--requests` that are found out are rounded to this.
const REQUESTS_STEP: u64 = 10_000;
/// The older program's name in the tables.
const OLD: &str = "old";

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tests to run, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    tests: Vec<Test>,
    /// Pipelining depths
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pipeline: Vec<u32>,
    /// How often each test is run against each peer
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Commands in a run [default: as many as Redis does in `--seconds`]
    #[arg(long)]
    requests: Option<u64>,
    /// How long a run is to take against the first peer
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    /// Connections
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    value_bytes: u32,
    /// Random keys and elements come from 0 up to this
    #[arg(long, default_value_t = 1_000_000)]
    keyspace: u64,
    /// Haypile's program
    #[arg(long, default_value = "bin/haypile")]
    haypile: PathBuf,
    /// Redis' program
    #[arg(long, default_value = "redis-server")]
    redis: PathBuf,
    /// A further argument for Haypile, such as --haypile-arg=--sync=always; may be repeated
    #[arg(long)]
    haypile_arg: Vec<String>,
    /// An older program of Haypile: a further table says by how much the new one uses more CPU time than it
    #[arg(long)]
    old: Option<PathBuf>,
    /// Another server, NAME=COMMAND with {port} and {dir}; may be repeated
    #[arg(long)]
    peer: Vec<Peer>,
    /// Leave Redis out
    #[arg(long)]
    only_haypile: bool,
    /// Leave Haypile out
    #[arg(long, conflicts_with = "only_haypile")]
    only_redis: bool,
    /// Where the servers' directories are made [default: the system's place for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the tables to this file, too
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Runs the comparison.
pub fn run(args: &Args) -> Result<(), Error> {
    interrupt::install()?;
    println!("{}", report::machine());
    report::publish(&tables(args)?, args.markdown.as_deref())
}

/// The tables of the comparison.
pub fn tables(args: &Args) -> Result<Vec<Table>, Error> {
    let peers = peers(args);
    if args.pairs == 0 || args.pipeline.contains(&0) || args.keyspace == 0 {
        return Err(Error::Usage(
            "--pairs, --pipeline and --keyspace must be above 0".into(),
        ));
    }
    let mut tables = Vec::new();
    for &pipeline in &args.pipeline {
        tables.extend(depth(args, &peers, pipeline)?);
    }
    Ok(tables)
}

fn peers(args: &Args) -> Vec<Peer> {
    let mut peers = Vec::new();
    if !args.only_haypile {
        peers.push(Peer::redis(&args.redis));
    }
    if !args.only_redis {
        peers.push(Peer::haypile(&args.haypile).with(&args.haypile_arg));
    }
    peers.extend(args.old.iter().map(|old| {
        let mut peer = Peer::haypile(old).with(&args.haypile_arg);
        peer.name = OLD.into();
        peer
    }));
    peers.extend_from_slice(&args.peer);
    peers
}

/// All tests at one pipelining depth, against fresh servers: what each peer gave, and new beside old.
fn depth(args: &Args, peers: &[Peer], pipeline: u32) -> Result<Vec<Table>, Error> {
    let dir = args.dir.as_deref();
    let mut servers = peers
        .iter()
        .map(|peer| Server::start(peer, dir))
        .collect::<Result<Vec<_>, _>>()?;
    let tests = if args.tests.is_empty() {
        Test::value_variants()
    } else {
        &args.tests
    };
    let mut lines = tests
        .iter()
        .map(|test| Ok((*test, line(args, *test, pipeline, &mut servers)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    // By test, then by peer.
    let mut samples: Vec<Vec<Vec<Sample>>> = vec![vec![Vec::new(); peers.len()]; lines.len()];
    for pair in 0..args.pairs {
        for ((test, line), samples) in lines.iter_mut().zip(&mut samples) {
            // Every other pair begins with another peer.
            let count = servers.len();
            for i in (0..count).map(|i| (i + pair) % count) {
                test.prepare(servers[i].port, line)?;
                let sample = sample(&mut servers, i, line.requests, |port| line.run(port))?;
                println!(
                    "{:>2}/{} -P {pipeline:<3} {:<10} {:<9} {:>9} ops/s, p99 {:.3} ms, {:.2} us CPU + {:.2} after, {} commands",
                    pair + 1,
                    args.pairs,
                    test.name(),
                    servers[i].name(),
                    thousands(sample.ops_per_s),
                    sample.p99_ms,
                    sample.cpu_us,
                    sample.after_us,
                    thousands(line.requests as f64)
                );
                samples[i].push(sample);
            }
        }
    }
    let title = format!(
        "-P {pipeline}: redis-benchmark -c {} -d {} -r {}, medians of {} runs against each",
        args.clients, args.value_bytes, args.keyspace, args.pairs
    );
    let names: Vec<&str> = servers.iter().map(Server::name).collect();
    let place = |wanted: &str| names.iter().position(|name| *name == wanted);
    let older = place("haypile").zip(place(OLD)).map(|(new, old)| {
        let tests = lines.iter().map(|(test, _)| test.name());
        older::table(
            pipeline,
            tests.zip(samples.iter().map(|peers| (&peers[new][..], &peers[old][..]))),
        )
    });
    let mut tables = vec![table(title, &names, &lines, &samples, pipeline)];
    tables.extend(older);
    Ok(tables)
}

/// The line of a test with a number of commands that suits the first peer.
fn line(args: &Args, test: Test, pipeline: u32, servers: &mut [Server]) -> Result<Line, Error> {
    let mut line = Line {
        clients: args.clients,
        value_bytes: args.value_bytes,
        keyspace: args.keyspace,
        pipeline,
        requests: TRIAL_REQUESTS * u64::from(pipeline),
        what: test.what(),
    };
    line.requests = line.requests.min(test.requests_max(line.keyspace));
    line.requests = match (args.requests, servers.first()) {
        (Some(requests), _) => requests,
        (None, None) => line.requests,
        (None, Some(first)) => {
            test.prepare(first.port, &line)?;
            let trial = line.run(first.port)?;
            // Truncation is what is wanted here.
            let steps = (trial.ops_per_s * args.seconds) as u64 / REQUESTS_STEP;
            steps.max(1) * REQUESTS_STEP
        }
    };
    line.requests = line.requests.min(test.requests_max(line.keyspace));
    Ok(line)
}

fn table(title: String, names: &[&str], lines: &[(Test, Line)], samples: &[Vec<Vec<Sample>>], pipeline: u32) -> Table {
    let mut header = vec!["test".to_owned()];
    for unit in ["ops/s", "p99 ms", "CPU us/op", "after us/op"] {
        header.extend(names.iter().map(|name| format!("{name} {unit}")));
    }
    // Ratios are to the first peer, if that is Redis.
    let compared = if names.first() == Some(&"redis") {
        &names[1..]
    } else {
        &[]
    };
    for name in compared {
        header.push(format!("{name}/redis"));
    }
    let judged = compared.first() == Some(&"haypile");
    if judged {
        header.extend(["target".to_owned(), "met".to_owned()]);
    }
    let rows = lines.iter().zip(samples).map(|((test, _), peers)| {
        let mut row = vec![test.name().to_owned()];
        row.extend(peers.iter().map(|p| thousands(median_of(p, |s| s.ops_per_s))));
        row.extend(peers.iter().map(|p| format!("{:.3}", median_of(p, |s| s.p99_ms))));
        row.extend(peers.iter().map(|p| format!("{:.2}", median_of(p, |s| s.cpu_us))));
        row.extend(peers.iter().map(|p| format!("{:.2}", median_of(p, |s| s.after_us))));
        // The median of the pairs' ratios: what slows a shared machine for a while slows both halves of a pair.
        let ratios: Vec<f64> = peers
            .iter()
            .skip(1)
            .take(compared.len())
            .map(|p| pair_ratio(&peers[0], p, |s| s.ops_per_s))
            .collect();
        row.extend(ratios.iter().map(|ratio| format!("{ratio:.2}")));
        if let (true, Some(ratio)) = (judged, ratios.first()) {
            let wanted = target(*test, pipeline);
            row.push(wanted.map_or_else(String::new, |wanted| format!("{wanted:.2}")));
            row.push(
                wanted
                    .map_or("", |wanted| if *ratio >= wanted { "yes" } else { "NO" })
                    .to_owned(),
            );
        }
        row
    });
    Table {
        title,
        header,
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_benchmark::What;

    fn sample(ops_per_s: f64) -> Sample {
        Sample {
            ops_per_s,
            p99_ms: 1.0,
            cpu_us: 2.0,
            after_us: 0.5,
        }
    }

    #[test]
    fn the_table_judges_by_the_pairs_ratios() {
        let line = Line {
            clients: 50,
            value_bytes: 64,
            keyspace: 10,
            pipeline: 16,
            requests: 7,
            what: What::Test("get"),
        };
        let redis = [100.0, 200.0, 400.0].map(sample).to_vec();
        let haypile = [90.0, 178.0, 100.0].map(sample).to_vec();
        let table = table(
            "t".into(),
            &["redis", "haypile"],
            &[(Test::Get, line)],
            &[vec![redis, haypile]],
            16,
        );
        assert_eq!(table.header.len(), table.rows[0].len());
        assert_eq!(table.rows[0][0..3], ["GET", "200", "100"]);
        assert_eq!(table.rows[0][9..], ["0.89", "0.90", "NO"]);
    }

    #[test]
    fn alone_nothing_is_judged() {
        let line = Line {
            clients: 50,
            value_bytes: 64,
            keyspace: 10,
            pipeline: 1,
            requests: 7,
            what: What::Test("get"),
        };
        let table = table(
            "t".into(),
            &["haypile"],
            &[(Test::Get, line)],
            &[vec![vec![sample(5.0)]]],
            1,
        );
        assert_eq!(
            table.header,
            [
                "test",
                "haypile ops/s",
                "haypile p99 ms",
                "haypile CPU us/op",
                "haypile after us/op"
            ]
        );
    }
}
