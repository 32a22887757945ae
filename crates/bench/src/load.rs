//! Start-up times and memory with many keys.
//!
//! Loads the keys over one connection, ends the server in order and by SIGKILL, and times its way back to the first
//! PONG. SIGKILL comes right after further writes, so that there is a log to replay.

use std::path::PathBuf;
use std::slice;
use std::time::{Duration, Instant};

use crate::client::encode;
use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::report::{self, Table, mib, thousands};
use crate::sample::wait_for_rest;
use crate::workload::{Noise, load_keys};

/// A clean start is to take less, seconds.
const CLEAN_START_MAX_S: f64 = 1.0;
/// A start after kill -9 is to take less, seconds.
const CRASH_START_MAX_S: f64 = 10.0;
/// Bytes of `key:` and twelve digits.
const KEY_BYTES: u64 = 16;

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many keys
    #[arg(long, default_value_t = 10_000_000)]
    keys: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    value_bytes: u32,
    /// Keys that are written once more right before kill -9
    #[arg(long, default_value_t = 1_000_000)]
    dirty_keys: u64,
    /// Haypile's memory budget, MiB
    #[arg(long, default_value_t = 1024)]
    memory_budget_mib: u64,
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
    if args.keys == 0 || args.dirty_keys > args.keys {
        return Err(Error::Usage(
            "--keys must be above 0 and --dirty-keys not above --keys".into(),
        ));
    }
    let budget = args.memory_budget_mib << 20;
    let haypile = Peer::haypile(&args.haypile).with(&["--memory-budget".into(), budget.to_string()]);
    let peer = args.peer.clone().unwrap_or(haypile);
    println!("{}", report::machine());
    let mut server = Server::start(&peer, args.dir.as_deref())?;
    let mut rows = Rows(Vec::new());

    let start = Instant::now();
    load_keys(&mut server.client()?, args.keys, args.value_bytes)?;
    let rate = args.keys as f64 / start.elapsed().as_secs_f64();
    rows.add("loading, one connection", format!("{} keys/s", thousands(rate)), "");
    wait_for_rest(slice::from_mut(&mut server))?;
    rows.memory("memory after loading", &mut server, budget)?;

    let stop = server.process()?.terminate()?;
    rows.add("clean stop", seconds(stop), "");
    rows.disk(&server, args)?;
    let clean = server.restart()?;
    rows.add(
        "start after a clean stop",
        seconds(clean),
        verdict(clean, CLEAN_START_MAX_S),
    );
    check_count(&server, args.keys)?;
    wait_for_rest(slice::from_mut(&mut server))?;
    rows.memory("memory after the start", &mut server, budget)?;

    overwrite(&server, args)?;
    server.process()?.kill()?;
    let crash = server.restart()?;
    rows.add("start after kill -9", seconds(crash), verdict(crash, CRASH_START_MAX_S));
    check_count(&server, args.keys)?;
    rows.memory("memory after that start", &mut server, budget)?;

    let title = format!(
        "{}: {} keys of {} bytes",
        peer.name,
        thousands(args.keys as f64),
        args.value_bytes
    );
    let header = ["figure", "value", "target"].map(str::to_owned).into();
    report::publish(
        &[Table {
            title,
            header,
            rows: rows.0,
        }],
        args.markdown.as_deref(),
    )
}

struct Rows(Vec<Vec<String>>);

impl Rows {
    fn add(&mut self, figure: &str, value: String, target: impl Into<String>) {
        println!("{figure}: {value}");
        self.0.push(vec![figure.into(), value, target.into()]);
    }

    fn memory(&mut self, figure: &str, server: &mut Server, budget: u64) -> Result<(), Error> {
        let (all, anonymous) = server.process()?.resident()?;
        let verdict = format!("<= {}: {}", mib(budget), if all <= budget { "yes" } else { "NO" });
        self.add(
            figure,
            format!("{} ({} without file pages)", mib(all), mib(anonymous)),
            verdict,
        );
        Ok(())
    }

    fn disk(&mut self, server: &Server, args: &Args) -> Result<(), Error> {
        let bytes = server.disk_bytes()?;
        let user = args.keys * (KEY_BYTES + u64::from(args.value_bytes));
        let each = bytes as f64 / args.keys as f64;
        let over = (bytes as f64 - user as f64) / args.keys as f64;
        self.add(
            "on disk",
            format!("{}, {each:.1} bytes a key, {over:+.1} to the user's own", mib(bytes)),
            "",
        );
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn verdict(time: Duration, max_s: f64) -> String {
    format!(
        "< {max_s:.0} s: {}",
        if time.as_secs_f64() < max_s { "yes" } else { "NO" }
    )
}

/// Writes some keys once more; all have been acknowledged when this returns.
fn overwrite(server: &Server, args: &Args) -> Result<(), Error> {
    let mut noise = Noise::new();
    server.client()?.pipeline(args.dirty_keys, |i, out| {
        let key = format!("key:{i:012}");
        encode(out, &[b"SET", key.as_bytes(), &noise.letters(args.value_bytes)]);
    })
}

fn check_count(server: &Server, expected: u64) -> Result<(), Error> {
    let count = server.client()?.integer(&["DBSIZE"])?;
    if count == expected {
        return Ok(());
    }
    Err(Error::Reply {
        command: "DBSIZE after a restart".into(),
        reply: format!("{count} instead of {expected}"),
    })
}
