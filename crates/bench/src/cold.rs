//! Random reads of data that is several times larger than the memory budget, beside a bare RocksDB loop.

use std::fs;
use std::path::PathBuf;
use std::slice;

use crate::bare;
use crate::client::{Client, encode};
use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::{Line, What};
use crate::report::{self, Table, mib, thousands};
use crate::sample::{measure_header, measure_row, wait_for_rest};
use crate::workload::{Noise, Scatter, load_keys};

/// Bytes of `key:` and twelve digits.
const KEY_BYTES: u64 = 16;
/// Bytes of `element:` and twelve digits, the name of a field.
const FIELD_BYTES: u64 = 20;
/// Linux drops its page cache (not what is dirty) when this is written.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Arguments of `cold`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Haypile's memory budget, MiB
    #[arg(long, default_value_t = 256)]
    memory_budget_mib: u64,
    /// How many times larger the data is
    #[arg(long, default_value_t = 5)]
    factor: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 128)]
    value_bytes: u32,
    /// Commands in a run
    #[arg(long, default_value_t = 500_000)]
    requests: u64,
    /// Connections
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Pipelining depths
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pipeline: Vec<u32>,
    /// Threads of the bare RocksDB loop on the same data
    #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
    bare_threads: Vec<usize>,
    /// Empty the system's page cache before each run (only root may): reads then come from the disk itself
    #[arg(long)]
    drop_caches: bool,
    /// Haypile's program
    #[arg(long, default_value = "bin/haypile")]
    haypile: PathBuf,
    /// Another server instead of Haypile, NAME=COMMAND with {port} and {dir}
    #[arg(long)]
    peer: Option<Peer>,
    /// Where the server's directory is made [default: the system's place for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the table to this file, too
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Runs the measurement.
pub fn run(args: &Args) -> Result<(), Error> {
    interrupt::install()?;
    if args.memory_budget_mib == 0 || args.factor == 0 || args.pipeline.contains(&0) || args.bare_threads.contains(&0) {
        return Err(Error::Usage(
            "--memory-budget-mib, --factor, --pipeline and --bare-threads must be above 0".into(),
        ));
    }
    let budget = args.memory_budget_mib << 20;
    let haypile = Peer::haypile(&args.haypile).with(&["--memory-budget".into(), budget.to_string()]);
    let peer = args.peer.clone().unwrap_or(haypile);
    let bytes = budget * args.factor;
    println!("{}", report::machine());

    let keys = bytes / (KEY_BYTES + u64::from(args.value_bytes));
    let mut strings = Server::start(&peer, args.dir.as_deref())?;
    load_keys(&mut strings.client()?, keys, args.value_bytes)?;
    let get = What::Command(["GET", "key:__rand_int__"].map(str::to_owned).into());
    let title = format!("{}: GET, {} keys", peer.name, thousands(keys as f64));
    let get = measure(args, &title, "GET", get, bare::What::Get(keys), keys, &mut strings)?;
    drop(strings);

    // As many hashes as fields in each: redis-benchmark draws both numbers from the same range.
    let side = (bytes / (FIELD_BYTES + u64::from(args.value_bytes))).isqrt();
    let mut hashes = Server::start(&peer, args.dir.as_deref())?;
    load_hashes(&mut hashes.client()?, side, args.value_bytes)?;
    let hget = What::Command(
        ["HGET", "hash:__rand_int__", "element:__rand_int__"]
            .map(str::to_owned)
            .into(),
    );
    let title = format!(
        "{}: HGET, {} hashes of {} fields",
        peer.name,
        thousands(side as f64),
        thousands(side as f64)
    );
    let hget = measure(args, &title, "HGET", hget, bare::What::Hget(side), side, &mut hashes)?;
    drop(hashes);

    report::publish(&[get, hget], args.markdown.as_deref())
}

/// Empties the system's page cache, except for what has not been written yet; only root may.
pub fn drop_caches() -> Result<(), Error> {
    fs::write(DROP_CACHES, "1").map_err(|source| Error::File {
        path: DROP_CACHES.into(),
        source,
    })
}

fn measure(
    args: &Args,
    title: &str,
    name: &str,
    what: What,
    bare: bare::What,
    keyspace: u64,
    server: &mut Server,
) -> Result<Table, Error> {
    wait_for_rest(slice::from_mut(server))?;
    let disk = server.disk_bytes()?;
    let mut rows = Vec::new();
    for &pipeline in &args.pipeline {
        let line = Line {
            clients: args.clients,
            value_bytes: args.value_bytes,
            keyspace,
            pipeline,
            requests: args.requests,
            what: what.clone(),
        };
        // Once for the block cache to hold what it would after a while, once to be counted.
        line.run(server.port)?;
        if args.drop_caches {
            drop_caches()?;
        }
        rows.push(measure_row(&format!("{name} -P {pipeline}"), &line, server)?);
    }
    let (resident, anonymous) = server.process()?.resident()?;
    let title = format!(
        "{title}, {} on disk, budget {} MiB, resident {} ({} without file pages)",
        mib(disk),
        args.memory_budget_mib,
        mib(resident),
        mib(anonymous)
    );
    // Whoever it is: the loop reads only what Haypile has written.
    if server.data_dir().join("partitions").exists() {
        server.process()?.terminate()?;
        for &threads in &args.bare_threads {
            let name = format!("{name}, bare loop, {threads} threads");
            let budget = args.memory_budget_mib << 20;
            let requests = args.requests / threads as u64;
            rows.push(bare::measure_row(
                &name,
                &server.data_dir(),
                budget,
                threads,
                requests,
                bare,
            )?);
        }
    }
    Ok(Table {
        title,
        header: measure_header(),
        rows,
    })
}

/// `side` hashes with `side` fields each, in scattered order.
fn load_hashes(client: &mut Client, side: u64, value_bytes: u32) -> Result<(), Error> {
    let count = side * side;
    let (mut noise, scatter) = (Noise::new(), Scatter::new(count));
    client.pipeline(count, |i, out| {
        let place = scatter.at(i);
        let (key, field) = (
            format!("hash:{:012}", place / side),
            format!("element:{:012}", place % side),
        );
        encode(
            out,
            &[b"HSET", key.as_bytes(), field.as_bytes(), &noise.letters(value_bytes)],
        );
    })
}
