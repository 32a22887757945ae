//! The times and limits of a copy.

use std::time::Duration;

use crate::Retry;

/// Times and limits of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySettings {
    /// Chunks that are fetched at the same time (`repl-copy-workers`), at least 1.
    pub workers: u32,
    /// Bytes per second that are fetched at most (`repl-copy-bytes-per-second`); `None` = as fast as it goes.
    pub bytes_per_second: Option<u64>,
    /// Failed attempts at one file after which the copy fails (`repl-copy-attempts`), at least 1.
    pub attempts_max: u32,
    /// How long the answer to a request for the manifest may take.
    pub request_timeout: Duration,
    /// Pause before the manifest is asked for again when the source is still making the checkpoint.
    pub busy_pause: Duration,
    /// How long a source may be making a checkpoint.
    pub busy_timeout: Duration,
    /// How long fetching one chunk may take at first. After some were late it is twice as long, with half the workers, and so
    /// on: on a slow link.
    pub chunk_timeout: Duration,
    /// Pause after which the source is told that its checkpoint is still needed; well below the source's lease.
    pub renew_interval: Duration,
    /// How long one local step may take: fsync, installing; and looking at what is there, from one word of it to the next.
    pub local_timeout: Duration,
    /// Pauses before a chunk is fetched again.
    pub retry: Retry,
    /// Bytes that must stay free on the disk.
    pub space_reserve_bytes: u64,
}

impl Default for CopySettings {
    fn default() -> Self {
        CopySettings {
            workers: 4,
            bytes_per_second: None,
            attempts_max: 5,
            request_timeout: Duration::from_secs(10),
            busy_pause: Duration::from_millis(250),
            busy_timeout: Duration::from_secs(600),
            chunk_timeout: Duration::from_secs(30),
            renew_interval: Duration::from_secs(10),
            local_timeout: Duration::from_secs(600),
            retry: Retry::from_millis(100, 5_000),
            space_reserve_bytes: 256 << 20,
        }
    }
}
