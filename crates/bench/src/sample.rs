//! One run of a load against one of several servers: what it took, and what the server did for it.
//!
//! The servers run at the same time, but one load at a time, and a load starts when every server has come to rest: what
//! a server does after it has replied, or in a process of its own (compaction, rewriting its log), neither slows the
//! next load nor goes unseen; it is the column "after".

use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::interrupt;
use crate::peer::Server;
use crate::redis_benchmark::{Line, Measured};
use crate::report::{median, thousands};

/// A server is at rest when it uses less than a tenth of a core over this time.
const REST_WINDOW: Duration = Duration::from_millis(200);
/// Rest is not waited for longer; a line that then starts is measured as it is.
const REST_MAX: Duration = Duration::from_secs(20);

/// One run against one server.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Commands in a second.
    pub ops_per_s: f64,
    /// 99 of 100 commands took no longer, milliseconds.
    pub p99_ms: f64,
    /// CPU time of the server while the line ran, for each operation, microseconds.
    pub cpu_us: f64,
    /// CPU time of the server afterwards until it was at rest, and of its children, for each operation, microseconds.
    pub after_us: f64,
}

/// Runs `load`, which sends `requests` commands to the port that it is given, against the i-th server.
pub fn sample(
    servers: &mut [Server],
    i: usize,
    requests: u64,
    load: impl FnOnce(u16) -> Result<Measured, Error>,
) -> Result<Sample, Error> {
    wait_for_rest(servers)?;
    let (before, all_before) = (servers[i].process()?.cpu()?, servers[i].process()?.cpu_with_children()?);
    let measured = load(servers[i].port)?;
    let during = servers[i].process()?.cpu()?.saturating_sub(before);
    wait_for_rest(servers)?;
    let all = servers[i].process()?.cpu_with_children()?.saturating_sub(all_before);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
    Ok(Sample {
        ops_per_s: measured.ops_per_s,
        p99_ms: measured.p99_ms,
        cpu_us: each(during),
        after_us: each(all.saturating_sub(during)),
    })
}

/// The median of a field of the samples; not a number if there are none.
pub fn median_of(samples: &[Sample], field: fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(field)).unwrap_or(f64::NAN)
}

/// The median of the pairs' ratios of a field: what slows a shared machine for a while slows both halves of a pair.
pub fn pair_ratio(base: &[Sample], other: &[Sample], field: fn(&Sample) -> f64) -> f64 {
    median(base.iter().zip(other).map(|(base, other)| field(other) / field(base))).unwrap_or(f64::NAN)
}

/// Waits until no server works any more.
pub fn wait_for_rest(servers: &mut [Server]) -> Result<(), Error> {
    let start = Instant::now();
    let total = |servers: &mut [Server]| {
        servers.iter_mut().try_fold(Duration::ZERO, |sum, server| {
            Ok::<_, Error>(sum + server.process()?.cpu_with_children()?)
        })
    };
    let mut before = total(servers)?;
    while start.elapsed() < REST_MAX {
        interrupt::check()?;
        thread::sleep(REST_WINDOW);
        let now = total(servers)?;
        if now.saturating_sub(before) < REST_WINDOW / 10 {
            break;
        }
        before = now;
    }
    Ok(())
}

/// A line of `redis-benchmark` with a command of one's own, against one server; returns the row of a table: name,
/// ops/s, p50, p99, CPU time for each operation.
pub fn measure_row(name: &str, line: &Line, server: &mut Server) -> Result<Vec<String>, Error> {
    wait_for_rest(std::slice::from_mut(server))?;
    let before = server.process()?.cpu()?;
    let measured = line.run(server.port)?;
    let used = server.process()?.cpu()?.saturating_sub(before);
    Ok(vec![
        name.to_owned(),
        thousands(measured.ops_per_s),
        format!("{:.3}", measured.p50_ms),
        format!("{:.3}", measured.p99_ms),
        format!("{:.2}", used.as_secs_f64() * 1e6 / line.requests as f64),
    ])
}

/// The header that goes with [`measure_row`].
pub fn measure_header() -> Vec<String> {
    ["test", "ops/s", "p50 ms", "p99 ms", "CPU us/op"]
        .map(str::to_owned)
        .into()
}
