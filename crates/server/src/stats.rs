//! What the server counts.

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_commands::table;

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

/// Buckets of the histogram: the last one counts what took 2^20 microseconds (a second) or more.
pub const BUCKETS: usize = 22;

/// Counters of the server.
pub struct Stats {
    commands: Vec<CommandStats>,
    /// Commands evaluated.
    pub commands_total: AtomicU64,
    /// Connections accepted.
    pub connections_total: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub connections_rejected: AtomicU64,
    /// Bytes received.
    pub input_bytes: AtomicU64,
    /// Bytes sent.
    pub output_bytes: AtomicU64,
    /// Error replies by code.
    pub errors: parking_lot::Mutex<std::collections::BTreeMap<String, u64>>,
    /// Error replies.
    pub errors_total: AtomicU64,
    /// Clients closed for their output buffer.
    pub output_limit_closed: AtomicU64,
    /// Clients closed for their query buffer.
    pub query_limit_closed: AtomicU64,
    /// Reads that had to wait for the disk.
    pub cold_reads: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            commands: (0..table::count()).map(|_| CommandStats::default()).collect(),
            commands_total: AtomicU64::new(0),
            connections_total: AtomicU64::new(0),
            connections_rejected: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            errors: parking_lot::Mutex::default(),
            errors_total: AtomicU64::new(0),
            output_limit_closed: AtomicU64::new(0),
            query_limit_closed: AtomicU64::new(0),
            cold_reads: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// The counters of a command by its id in the table.
    pub fn command(&self, id: usize) -> &CommandStats {
        &self.commands[id]
    }

    /// Counts an evaluation.
    pub fn called(&self, id: usize, micros: u64) {
        let stats = &self.commands[id];
        stats.calls.fetch_add(1, Ordering::Relaxed);
        stats.micros.fetch_add(micros, Ordering::Relaxed);
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
            &self.commands_total,
            &self.connections_total,
            &self.connections_rejected,
            &self.input_bytes,
            &self.output_bytes,
            &self.errors_total,
            &self.output_limit_closed,
            &self.query_limit_closed,
            &self.cold_reads,
        ];
        all.into_iter().for_each(|n| n.store(0, Ordering::Relaxed));
        self.errors.lock().clear();
        for command in &self.commands {
            for n in [&command.calls, &command.micros, &command.rejected, &command.failed] {
                n.store(0, Ordering::Relaxed);
            }
            command.buckets.iter().for_each(|n| n.store(0, Ordering::Relaxed));
        }
    }
}
