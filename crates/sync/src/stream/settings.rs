//! The times and limits of a stream.

use std::time::Duration;

/// Times and limits of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Bytes that may be sent and not yet applied by the follower (`repl-window-bytes`). A single batch may exceed it.
    pub window_bytes: u64,
    /// Entries that may be sent and not yet applied by the follower (`repl-window-entries`).
    pub window_entries: u64,
    /// Bytes of a batch; a single entry may exceed it.
    pub batch_bytes: u64,
    /// Time between two batches (`repl-batch-delay-us`), so that under load many entries go in one message. What comes after a
    /// pause goes at once, and nothing is held back while somebody waits for the follower.
    pub batch_delay: Duration,
    /// Pause after which something is sent although there is nothing new, by either side.
    pub keepalive_interval: Duration,
    /// A peer that has been silent for this long is dead (`repl-timeout`).
    pub silence_timeout: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        StreamSettings {
            window_bytes: 64 << 20,
            window_entries: 1 << 20,
            batch_bytes: 1 << 20,
            batch_delay: Duration::from_millis(1),
            keepalive_interval: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(10),
        }
    }
}
