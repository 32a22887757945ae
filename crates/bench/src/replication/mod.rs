//! A primary and a replica on this machine: what replication costs, and how far the replica is behind.
//!
//! Each part starts its own servers and gives a table. Where Redis has the same figure, it is measured in the same run.

mod catch_up;
mod cpu;
mod cut;
mod full_sync;
mod lag;
mod open_loop;
mod pair;
mod proxy;
mod throttle;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::{Line, What};
use crate::report;

use self::open_loop::Load;

/// One kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU time of the primary for each operation, alone and with a replica
    Cpu,
    /// What the primary takes from redis-benchmark -P 16, and how soon the replica has it
    CatchUp,
    /// How long a write takes to show at the replica
    Lag,
    /// A full sync beside cp -r and sync of the same files
    FullSync,
    /// What a throttled full sync does to the latency of others
    Throttle,
    /// How soon a replica is in sync after its link was cut
    Cut,
}

/// Arguments of `replication`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// cpu, catch-up, throttle: how often each measurement is made
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// cpu, catch-up: commands in a run at -P 16; without pipelining it is a tenth
    #[arg(long, default_value_t = 2_000_000)]
    requests: u64,
    /// lag, throttle, cut: commands in a second
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// lag, throttle: how long each measurement takes
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// full-sync: how much data, MiB
    #[arg(long, default_value_t = 10 << 10)]
    full_sync_mib: u64,
    /// full-sync: empty the system's page cache before each measurement (only root may), instead of filling it
    #[arg(long)]
    drop_caches: bool,
    /// full-sync: measure Redis, too, which needs all of the data in memory twice
    #[arg(long)]
    redis_full_sync: bool,
    /// throttle: repl-copy-bytes-per-second, in MiB
    #[arg(long, default_value_t = 50)]
    copy_mib_per_second: u64,
    /// cut: for how long
    #[arg(long, default_value_t = 5)]
    cut_seconds: u64,
    /// Connections
    #[arg(long, default_value_t = 50)]
    clients: u16,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    value_bytes: u32,
    /// Random keys come from 0 up to this
    #[arg(long, default_value_t = 1_000_000)]
    keyspace: u64,
    /// Haypile's program
    #[arg(long, default_value = "bin/haypile")]
    haypile: PathBuf,
    /// Redis' program
    #[arg(long, default_value = "redis-server")]
    redis: PathBuf,
    /// A further argument for Haypile's servers, such as --haypile-arg=--sync=always; may be repeated
    #[arg(long)]
    haypile_arg: Vec<String>,
    /// Leave Redis out
    #[arg(long)]
    only_haypile: bool,
    /// Where the servers' directories are made [default: the system's place for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the tables to this file, too
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Runs the measurements.
pub fn run(args: &Args) -> Result<(), Error> {
    interrupt::install()?;
    if [
        args.pairs as u64,
        args.requests,
        args.rate,
        args.seconds,
        args.clients.into(),
        args.keyspace,
        args.full_sync_mib,
        args.copy_mib_per_second,
        args.cut_seconds,
    ]
    .contains(&0)
    {
        return Err(Error::Usage("all numbers but --value-bytes must be above 0".into()));
    }
    println!("{}", report::machine());
    let parts = if args.parts.is_empty() {
        Part::value_variants()
    } else {
        &args.parts
    };
    let mut tables = Vec::new();
    for part in parts {
        tables.push(match part {
            Part::Cpu => cpu::measure(args)?,
            Part::CatchUp => catch_up::measure(args)?,
            Part::Lag => lag::measure(args)?,
            Part::FullSync => full_sync::measure(args)?,
            Part::Throttle => throttle::measure(args)?,
            Part::Cut => cut::measure(args)?,
        });
    }
    report::publish(&tables, args.markdown.as_deref())
}

impl Args {
    /// Redis, if it is wanted, and Haypile.
    fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        if !self.only_haypile {
            // Redis waits five seconds for further replicas before it begins a full sync.
            let at_once = ["--repl-diskless-sync-delay", "0"].map(str::to_owned);
            peers.push(Peer::redis(&self.redis).with(&at_once));
        }
        peers.push(self.haypile());
        peers
    }

    fn haypile(&self) -> Peer {
        Peer::haypile(&self.haypile).with(&self.haypile_arg)
    }

    fn start(&self, peer: &Peer) -> Result<Server, Error> {
        Server::start(peer, self.dir())
    }

    fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// A load with a fixed rate, of which so many of a hundred commands are SETs.
    fn load(&self, primary: &Server, sets_percent: u64) -> Load {
        Load {
            port: primary.port,
            rate: self.rate,
            connections: self.clients.into(),
            sets_percent,
            keyspace: self.keyspace,
            value_bytes: self.value_bytes,
        }
    }

    /// SETs of random keys.
    fn sets(&self, pipeline: u32) -> Line {
        let requests = if pipeline == 1 {
            self.requests / 10
        } else {
            self.requests
        };
        Line {
            clients: self.clients.into(),
            value_bytes: self.value_bytes,
            keyspace: self.keyspace,
            pipeline,
            requests: requests.max(1),
            what: What::Test("set"),
        }
    }
}
