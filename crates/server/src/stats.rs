//! What the server counts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use haypile_commands::table;
use haypile_node::seldom::Seldom;
use haypile_types::{Counter, thread_index};

/// Threads with counters of their own; further ones share these.
const STRIPES: usize = 64;

/// Counters of one command.
#[derive(Default)]
pub struct CommandStats {
    /// Evaluations.
    pub calls: AtomicU64,
    /// Microseconds spent in them.
    pub micros: AtomicU64,
    /// Refused before evaluation.
    pub rejected: AtomicU64,
    /// Evaluated to an error.
    pub failed: AtomicU64,
    /// Evaluations by duration: bucket `i` counts those below 2^i microseconds that no lower one counts.
    pub buckets: [AtomicU64; BUCKETS],
}

impl CommandStats {
    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        let single = [&self.calls, &self.micros, &self.rejected, &self.failed];
        single.into_iter().chain(&self.buckets)
    }

    /// The histogram: evaluations by bucket.
    pub fn histogram(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }
}

/// Upper bound of a bucket, microseconds.
pub fn bucket_micros(bucket: usize) -> u64 {
    1 << bucket
}

/// The number of microseconds that `percent` of the evaluations in a histogram did not exceed, as near as its buckets
/// tell; `None` of an empty one.
pub fn percentile(histogram: &[u64; BUCKETS], percent: f64) -> Option<f64> {
    let total: u64 = histogram.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = (total as f64 * percent / 100.0).max(1.0);
    let mut below = 0;
    for (bucket, &count) in histogram.iter().enumerate() {
        if count > 0 && (below + count) as f64 >= wanted {
            let lower = if bucket == 0 {
                0.0
            } else {
                bucket_micros(bucket - 1) as f64
            };
            let share = (wanted - below as f64) / count as f64;
            return Some(lower + (bucket_micros(bucket) as f64 - lower) * share);
        }
        below += count;
    }
    None
}

/// Buckets of the histogram: the last one counts what took 2^20 microseconds (a second) or more.
pub const BUCKETS: usize = 22;

/// Counters of the server.
pub struct Stats {
    /// By thread, so that threads which evaluate the same command do not write the same cache lines.
    commands: [OnceLock<Vec<CommandStats>>; STRIPES],
    /// Connections accepted.
    pub connections_total: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub connections_rejected: AtomicU64,
    /// Bytes received.
    pub input_bytes: Counter,
    /// Bytes sent.
    pub output_bytes: Counter,
    /// Error replies by code.
    pub errors: parking_lot::Mutex<std::collections::BTreeMap<String, u64>>,
    /// Error replies.
    pub errors_total: AtomicU64,
    /// Clients closed for their output buffer.
    pub output_limit_closed: AtomicU64,
    /// Clients closed for their query buffer.
    pub query_limit_closed: AtomicU64,
    /// Connections on which no TLS came about.
    pub tls_handshakes_failed: AtomicU64,
    /// Reads that had to wait for the disk.
    pub cold_reads: AtomicU64,
    /// What clients cause, whoever they are, and the log is told of.
    pub complaints: Complaints,
}

/// Lines of the log about clients, each kind now and then.
pub struct Complaints {
    /// HTTP on the port of Redis' protocol.
    pub http: Seldom,
    /// A client has sent too much ahead.
    pub query_limit: Seldom,
    /// A client does not read.
    pub output_limit: Seldom,
    /// A connection cannot be accepted.
    pub accept: Seldom,
}

impl Default for Complaints {
    fn default() -> Self {
        Complaints {
            // As Redis does.
            http: Seldom::every(Duration::from_secs(60)),
            query_limit: Seldom::default(),
            output_limit: Seldom::default(),
            accept: Seldom::default(),
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            commands: std::array::from_fn(|_| OnceLock::new()),
            connections_total: AtomicU64::new(0),
            connections_rejected: AtomicU64::new(0),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            errors: parking_lot::Mutex::default(),
            errors_total: AtomicU64::new(0),
            output_limit_closed: AtomicU64::new(0),
            query_limit_closed: AtomicU64::new(0),
            tls_handshakes_failed: AtomicU64::new(0),
            cold_reads: AtomicU64::new(0),
            complaints: Complaints::default(),
        }
    }
}

impl Stats {
    /// The counters of a command by its id in the table, as they are now.
    pub fn command(&self, id: usize) -> CommandStats {
        let sum = CommandStats::default();
        for stats in self.commands.iter().filter_map(|stripe| stripe.get()?.get(id)) {
            for (sum, n) in sum.all().zip(stats.all()) {
                sum.fetch_add(n.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        sum
    }

    /// Those of the calling thread.
    fn own(&self, id: usize) -> &CommandStats {
        let stripe = &self.commands[thread_index() % STRIPES];
        &stripe.get_or_init(|| (0..table::count()).map(|_| CommandStats::default()).collect())[id]
    }

    /// Evaluations of all commands.
    pub fn calls_total(&self) -> u64 {
        let all = self.commands.iter().filter_map(OnceLock::get).flatten();
        all.map(|c| c.calls.load(Ordering::Relaxed)).sum()
    }

    /// Counts a request that was refused before evaluation.
    pub fn rejected(&self, id: usize) {
        self.own(id).rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was evaluated to an error.
    pub fn failed(&self, id: usize) {
        self.own(id).failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an evaluation.
    pub fn came(&self, id: usize) {
        self.own(id).calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the time that an evaluation took; in the histogram only if latencies are tracked.
    pub fn took(&self, id: usize, micros: u64, track_latency: bool) {
        let stats = self.own(id);
        stats.micros.fetch_add(micros, Ordering::Relaxed);
        if !track_latency {
            return;
        }
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        stats.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error reply; `text` starts with its code.
    pub fn error(&self, text: &str) {
        self.errors_total.fetch_add(1, Ordering::Relaxed);
        let code = text.split(' ').next().unwrap_or("ERR");
        let mut errors = self.errors.lock();
        // Codes come from us and from scripts: bounded all the same.
        if errors.len() < 128 || errors.contains_key(code) {
            *errors.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        let all = [
            &self.connections_total,
            &self.connections_rejected,
            &self.errors_total,
            &self.output_limit_closed,
            &self.query_limit_closed,
            &self.cold_reads,
        ];
        all.into_iter().for_each(|n| n.store(0, Ordering::Relaxed));
        self.errors.lock().clear();
        [&self.input_bytes, &self.output_bytes]
            .into_iter()
            .for_each(Counter::reset);
        for command in self.commands.iter().filter_map(OnceLock::get).flatten() {
            command.all().for_each(|n| n.store(0, Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_in_the_bucket_that_holds_them() {
        let mut histogram = [0; BUCKETS];
        assert_eq!(percentile(&histogram, 50.0), None);
        histogram[3] = 98;
        histogram[10] = 2;
        assert!(percentile(&histogram, 0.0).is_some_and(|us| (4.0..5.0).contains(&us)));
        assert!(percentile(&histogram, 50.0).is_some_and(|us| (5.9..6.2).contains(&us)));
        assert_eq!(percentile(&histogram, 98.0), Some(8.0));
        assert_eq!(percentile(&histogram, 99.0), Some(768.0));
        assert_eq!(percentile(&histogram, 100.0), Some(1024.0));
    }

    #[test]
    fn evaluations_are_counted_by_duration() {
        let stats = Stats::default();
        for micros in [0, 1, 2, 3, u64::MAX >> 20] {
            stats.came(0);
            stats.took(0, micros, true);
        }
        stats.came(0);
        stats.took(0, 5, false);
        let histogram = stats.command(0).histogram();
        assert_eq!(
            (histogram[0], histogram[1], histogram[2], histogram[BUCKETS - 1]),
            (1, 1, 2, 1)
        );
        assert_eq!((stats.calls_total(), histogram.iter().sum::<u64>()), (6, 5));
        stats.error("WRONGTYPE no");
        stats.reset();
        assert_eq!(stats.calls_total(), 0);
        assert!(stats.errors.lock().is_empty());
    }
}
