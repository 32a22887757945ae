//! What a throttled full sync does to the latency of the primary's other clients.
//!
//! The load has a fixed rate and half of it is SETs. It runs for some time on the primary alone, and for the same time
//! from the moment at which an empty replica begins to follow; the data is large enough for the copy to last longer.

use std::slice;
use std::time::Duration;

use crate::error::Error;
use crate::peer::{Peer, Server};
use crate::report::{Table, median, met, mib, thousands};
use crate::sample::wait_for_rest;
use crate::workload::load_keys;

use super::Args;
use super::full_sync::{KEY_BYTES, VALUE_BYTES, forget_the_log, retention};
use super::open_loop::Load;
use super::pair::{Info, follow};

/// During a full sync, p99 is to be at most so many times what it is without one.
const P99_RATIO_MAX: f64 = 2.0;
/// The data is so many times what is copied while the measurement lasts.
const DATA_FACTOR: f64 = 1.5;
/// Load before each measurement.
const WARM_UP: Duration = Duration::from_secs(2);
const PERCENTS: [f64; 4] = [50.0, 99.0, 99.9, 100.0];
const SETS_PERCENT: u64 = 50;

/// Milliseconds at [`PERCENTS`].
type Latency = [f64; PERCENTS.len()];

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let bytes_per_second = args.copy_mib_per_second << 20;
    let bytes = (bytes_per_second * args.seconds) as f64 * DATA_FACTOR;
    let keys = (bytes / (KEY_BYTES + u64::from(VALUE_BYTES)) as f64).ceil() as u64;
    let peer = args.haypile().with(&retention());
    let throttled = peer
        .clone()
        .with(&["--repl-copy-bytes-per-second".into(), bytes_per_second.to_string()]);
    let mut primary = args.start(&peer)?;
    load_keys(&mut primary.client()?, keys, VALUE_BYTES)?;
    forget_the_log(&primary)?;

    let load = Load {
        keyspace: keys,
        ..args.load(&primary, SETS_PERCENT)
    };
    let time = Duration::from_secs(args.seconds);
    let (mut alone, mut during) = (Vec::new(), Vec::new());
    for pair in 0..args.pairs {
        wait_for_rest(slice::from_mut(&mut primary))?;
        load.clone().run_for(WARM_UP)?;
        alone.push(load.clone().run_for(time)?.percentiles(PERCENTS));
        let (latency, copied) = during_a_copy(args, &throttled, &primary, &load, time)?;
        during.push(latency);
        let ([_, before, ..], [_, after, ..]) = (alone[pair], latency);
        println!(
            "{:>2}/{} p99 {before:.3} ms alone, {after:.3} ms during a full sync, {} copied",
            pair + 1,
            args.pairs,
            mib(copied)
        );
    }
    Ok(table(args, bytes as u64, &alone, &during))
}

/// The latency from the moment at which a replica begins to follow, and how many bytes were copied.
fn during_a_copy(
    args: &Args,
    peer: &Peer,
    primary: &Server,
    load: &Load,
    time: Duration,
) -> Result<(Latency, u64), Error> {
    let mut replica = args.start(peer)?;
    let mut running = load.clone().start()?;
    follow(&replica, "127.0.0.1", primary.port)?;
    running.wait(time)?;
    let info = Info::of(&mut replica.client()?)?;
    let latency = running.stop()?.percentiles(PERCENTS);
    let copied = info.number("master_sync_read_bytes")?;
    if info.field("master_sync_in_progress") != Some("1") {
        return Err(Error::Usage(format!(
            "the full sync was over before {} s were: it copied {}",
            time.as_secs(),
            mib(copied)
        )));
    }
    // What it has is of no use.
    replica.process()?.kill()?;
    Ok((latency, copied))
}

fn table(args: &Args, bytes: u64, alone: &[Latency], during: &[Latency]) -> Table {
    let of = |latencies: &[Latency], i: usize| median(latencies.iter().map(|latency| latency[i])).unwrap_or(f64::NAN);
    let row = |name: &str, latencies: &[Latency]| {
        let mut row = vec![name.to_owned()];
        row.extend((0..PERCENTS.len()).map(|i| format!("{:.3}", of(latencies, i))));
        row
    };
    let pairs = alone.iter().zip(during);
    let ratio = median(pairs.map(|(alone, during)| during[1] / alone[1])).unwrap_or(f64::NAN);
    let mut rows = vec![row("alone", alone), row("during a full sync", during)];
    rows[0].extend([String::new(), String::new(), String::new()]);
    rows[1].extend([
        format!("{ratio:.2}"),
        format!("<= {P99_RATIO_MAX}"),
        met(ratio <= P99_RATIO_MAX),
    ]);
    Table {
        title: format!(
            "throttle: {} commands a second, {SETS_PERCENT} % SET, the rest GET, of {}; a full sync with {} MiB/s; medians of {} pairs of {} s",
            thousands(args.rate as f64),
            mib(bytes),
            args.copy_mib_per_second,
            args.pairs,
            args.seconds
        ),
        header: [
            "haypile",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "p99 ratio",
            "target",
            "met",
        ]
        .map(str::to_owned)
        .into(),
        rows,
    }
}
