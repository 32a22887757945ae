//! CPU time of a primary for each operation, alone and with a replica.
//!
//! It is counted from the load's first command until the replica has everything and the primary is at rest, since a
//! part of the work comes after the replies. The replica runs on the same cores, so that what it takes from their
//! caches is in the figure, too.

use std::slice;
use std::time::Duration;

use crate::error::Error;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::Line;
use crate::report::{Table, median, met};
use crate::sample::wait_for_rest;
use crate::workload::Test;

use super::Args;
use super::pair::{start_replica, wait_in_sync};

/// With a replica, the primary's CPU time for each operation is to be at most so many times what it is alone.
const RATIO_MAX: f64 = 1.25;

/// Microseconds for each operation.
#[derive(Clone, Copy, Debug)]
struct Sample {
    alone: f64,
    with_replica: f64,
}

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let mut rows = Vec::new();
    for pipeline in [16, 1] {
        for peer in args.peers() {
            rows.push(row(args, &peer, &args.sets(pipeline))?);
        }
    }
    Ok(Table {
        title: format!(
            "cpu: the primary's CPU time for each SET, redis-benchmark -c {} -d {} -r {}, medians of {} pairs",
            args.clients, args.value_bytes, args.keyspace, args.pairs
        ),
        header: ["test", "alone us/op", "with a replica us/op", "ratio", "target", "met"]
            .map(str::to_owned)
            .into(),
        rows,
    })
}

fn row(args: &Args, peer: &Peer, line: &Line) -> Result<Vec<String>, Error> {
    let mut primary = args.start(peer)?;
    Test::Set.prepare(primary.port, line)?;
    let mut samples = Vec::new();
    for pair in 0..args.pairs {
        // What came first is alternated, since the data grow older.
        let sample = if pair % 2 == 0 {
            let alone = cost(&mut primary, None, line)?;
            let with_replica = cost_with_replica(args, peer, &mut primary, line)?;
            Sample { alone, with_replica }
        } else {
            let with_replica = cost_with_replica(args, peer, &mut primary, line)?;
            let alone = cost(&mut primary, None, line)?;
            Sample { alone, with_replica }
        };
        println!(
            "{:>2}/{} {} -P {}: {:.2} us alone, {:.2} us with a replica",
            pair + 1,
            args.pairs,
            peer.name,
            line.pipeline,
            sample.alone,
            sample.with_replica
        );
        samples.push(sample);
    }
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value)).unwrap_or(f64::NAN);
    let ratio = of(|sample| sample.with_replica / sample.alone);
    let mut row = vec![
        format!("{} -P {}", peer.name, line.pipeline),
        format!("{:.2}", of(|sample| sample.alone)),
        format!("{:.2}", of(|sample| sample.with_replica)),
        format!("{ratio:.2}"),
    ];
    row.extend(if peer.name == "haypile" {
        [format!("<= {RATIO_MAX}"), met(ratio <= RATIO_MAX)]
    } else {
        [String::new(), String::new()]
    });
    Ok(row)
}

fn cost_with_replica(args: &Args, peer: &Peer, primary: &mut Server, line: &Line) -> Result<f64, Error> {
    // A new one each time: one that is there already would have to be kept from following in between.
    let replica = start_replica(args, peer, primary)?;
    cost(primary, Some(&replica), line)
}

/// CPU time for each operation, microseconds.
fn cost(primary: &mut Server, replica: Option<&Server>, line: &Line) -> Result<f64, Error> {
    wait_for_rest(slice::from_mut(primary))?;
    let before = primary.process()?.cpu()?;
    line.run(primary.port)?;
    if let Some(replica) = replica {
        wait_in_sync(primary, replica)?;
    }
    wait_for_rest(slice::from_mut(primary))?;
    let used: Duration = primary.process()?.cpu()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / line.requests as f64)
}
