//! A load against Redis and Haypile in turn, pair after pair, and the row that it makes.

use crate::error::Error;
use crate::peer::Server;
use crate::report::{met, thousands};
use crate::sample::{Sample, median_of, pair_ratio, sample};

use super::Args;
use super::load::Load;

/// The header that goes with [`measure`].
pub fn header() -> Vec<String> {
    [
        "line",
        "redis ops/s",
        "haypile ops/s",
        "haypile/redis",
        "target",
        "met",
        "redis CPU us/op",
        "haypile CPU us/op",
        "redis after us/op",
        "haypile after us/op",
        "redis p99 ms",
        "haypile p99 ms",
    ]
    .map(str::to_owned)
    .into()
}

/// Both servers, Redis first.
pub type Both = [Server; 2];

/// Runs the load; `target` is the least part of Redis' operations per second.
pub fn measure(
    args: &Args,
    name: &str,
    load: &Load,
    target: Option<f64>,
    servers: &mut Both,
) -> Result<Vec<String>, Error> {
    let mut requests = [0; 2];
    for (requests, server) in requests.iter_mut().zip(servers.iter()) {
        *requests = load.requests_for(server.port, args.seconds)?;
    }
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for pair in 0..args.pairs {
        // Every other pair begins with the other one.
        for i in [pair % 2, 1 - pair % 2] {
            samples[i].push(sample(servers, i, requests[i], |port| load.run(port, requests[i]))?);
        }
    }
    let [redis, haypile] = &samples;
    let ratio = pair_ratio(redis, haypile, |s| s.ops_per_s);
    let both = |field: fn(&Sample) -> f64, text: fn(f64) -> String| [redis, haypile].map(|s| text(median_of(s, field)));
    let mut row = vec![name.to_owned()];
    row.extend(both(|s| s.ops_per_s, thousands));
    row.push(format!("{ratio:.2}"));
    row.push(target.map_or_else(String::new, |target| format!("{target:.2}")));
    row.push(target.map_or_else(String::new, |target| met(ratio >= target)));
    row.extend(both(|s| s.cpu_us, |us| format!("{us:.2}")));
    row.extend(both(|s| s.after_us, |us| format!("{us:.2}")));
    row.extend(both(|s| s.p99_ms, |ms| format!("{ms:.3}")));
    println!("{}", row.join("  "));
    Ok(row)
}
