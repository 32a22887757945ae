//! What a primary takes from `redis-benchmark -P 16` alone and with a replica, and how soon after the load's end the
//! replica has all of it.

use std::slice;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::peer::Peer;
use crate::report::{Table, median, met, thousands};
use crate::sample::wait_for_rest;
use crate::workload::Test;

use super::Args;
use super::pair::{shown, start_replica, wait_in_sync, written};

/// After the load's end the replica is to have everything within this.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);
/// Pipelining depth.
const PIPELINE: u32 = 16;

struct Sample {
    alone: f64,
    with_replica: f64,
    /// What the replica lacks when the load ends, as a part of what was written.
    behind: f64,
    caught_up_s: f64,
}

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let mut rows = Vec::new();
    for peer in args.peers() {
        rows.push(row(args, &peer)?);
    }
    let header = [
        "server",
        "alone ops/s",
        "with a replica ops/s",
        "ratio",
        "behind at the end",
        "caught up after s",
        "longest s",
        "target",
        "met",
    ];
    Ok(Table {
        title: format!(
            "catch-up: {} SETs, redis-benchmark -P {PIPELINE} -c {} -d {} -r {}, medians of {} pairs",
            thousands(args.requests as f64),
            args.clients,
            args.value_bytes,
            args.keyspace,
            args.pairs
        ),
        header: header.map(str::to_owned).into(),
        rows,
    })
}

fn row(args: &Args, peer: &Peer) -> Result<Vec<String>, Error> {
    let mut primary = args.start(peer)?;
    let line = args.sets(PIPELINE);
    Test::Set.prepare(primary.port, &line)?;
    let mut samples = Vec::new();
    for pair in 0..args.pairs {
        wait_for_rest(slice::from_mut(&mut primary))?;
        let alone = line.run(primary.port)?.ops_per_s;

        let mut replica = start_replica(args, peer, &primary)?;
        wait_for_rest(slice::from_mut(&mut primary))?;
        wait_for_rest(slice::from_mut(&mut replica))?;
        let (mut to_primary, mut to_replica) = (primary.client()?, replica.client()?);
        let before = written(&mut to_primary)?;
        let with_replica = line.run(primary.port)?.ops_per_s;
        let end = Instant::now();
        let (has, goal) = (shown(&mut to_replica)?, written(&mut to_primary)?);
        wait_in_sync(&primary, &replica)?;
        let sample = Sample {
            alone,
            with_replica,
            behind: goal.saturating_sub(has) as f64 / goal.saturating_sub(before).max(1) as f64,
            caught_up_s: end.elapsed().as_secs_f64(),
        };
        println!(
            "{:>2}/{} {}: {} ops/s alone, {} with a replica, {:.1} % behind at the end, caught up after {:.3} s",
            pair + 1,
            args.pairs,
            peer.name,
            thousands(sample.alone),
            thousands(sample.with_replica),
            sample.behind * 100.0,
            sample.caught_up_s
        );
        samples.push(sample);
    }
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value)).unwrap_or(f64::NAN);
    let longest = samples.iter().map(|sample| sample.caught_up_s).fold(0.0, f64::max);
    let mut row = vec![
        peer.name.clone(),
        thousands(of(|sample| sample.alone)),
        thousands(of(|sample| sample.with_replica)),
        format!("{:.2}", of(|sample| sample.with_replica / sample.alone)),
        format!("{:.1} %", of(|sample| sample.behind) * 100.0),
        format!("{:.3}", of(|sample| sample.caught_up_s)),
        format!("{longest:.3}"),
    ];
    row.extend(if peer.name == "haypile" {
        let limit = CATCH_UP_MAX.as_secs_f64();
        [format!("< {limit} s"), met(longest < limit)]
    } else {
        [String::new(), String::new()]
    });
    Ok(row)
}
