//! `haypile-bench`: what the server costs, measured from outside with the same lines for every server.
//!
//! - `compare` alternates Haypile, Redis and other peers under `redis-benchmark` and prints medians, ratios, p99 and
//!   the server's CPU time per operation;
//! - `shapes` measures commands on many small collections, on sizes that double and on large values, beside Redis;
//! - `load` times start-up with many keys and reads the resident memory;
//! - `cold` reads data that is several times larger than the memory budget;
//! - `replication` measures a primary with a replica: full sync, its throttle, catching up, CPU time, lag, a cut link;
//! - `echo` gives the yardstick: a loop that only frames requests and answers a fixed reply.
//!
//! A figure from here never decides a test.

mod bare;
mod client;
mod closed_loop;
mod cold;
mod compare;
mod echo;
mod error;
mod interrupt;
mod load;
mod older;
mod peer;
mod process;
mod redis_benchmark;
mod replication;
mod replies;
mod report;
mod sample;
mod shapes;
mod targets;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

#[derive(Parser)]
#[command(name = "haypile-bench", about = "Measures servers of the Redis protocol", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Haypile against Redis (and others) with redis-benchmark, alternating
    Compare(compare::Args),
    /// Commands on small collections, on sizes that double and on large values, beside Redis
    Shapes(shapes::Args),
    /// Start-up times and memory with many keys
    Load(load::Args),
    /// Random reads of data larger than the memory budget
    Cold(cold::Args),
    /// A primary and its replica: what replication costs and how far the replica is behind
    Replication(replication::Args),
    /// The bare echo loop under the same lines
    Echo(echo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Compare(args) => compare::run(&args),
        Command::Shapes(args) => shapes::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Cold(args) => cold::run(&args),
        Command::Replication(args) => replication::run(&args),
        Command::Echo(args) => echo::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("haypile-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
