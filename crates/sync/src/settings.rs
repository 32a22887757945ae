//! The times and limits of the follower's machines.

use std::time::Duration;

use haypile_types::Random;

use crate::{Class, ErrorKind, NotReady};

/// Pauses between attempts: doubled with each, with jitter, so that many followers do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Longest pause before the first retry.
    pub min: Duration,
    /// Longest pause ever; not below `min`.
    pub max: Duration,
}

impl Retry {
    /// Pauses of at most `min_ms` for the first retry and `max_ms` for any, in milliseconds.
    pub const fn from_millis(min_ms: u64, max_ms: u64) -> Self {
        Retry {
            min: Duration::from_millis(min_ms),
            max: Duration::from_millis(max_ms),
        }
    }

    /// The pause after this many failures in a row (at least 1): between half and all of `min * 2^(attempts - 1)`,
    /// which is never more than `max` ("equal jitter": Brooker, "Exponential Backoff And Jitter", 2015).
    pub fn pause(&self, attempts: u32, rng: &mut dyn Random) -> Duration {
        let doubled = self
            .min
            .saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        let most = doubled.min(self.max).as_micros().min(u128::from(u64::MAX)) as u64;
        Duration::from_micros(most / 2 + rng.below(most - most / 2 + 1))
    }
}

/// All times and limits of the follower's two machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long the answer to one request may take: MetaSync, TrySync.
    pub request_timeout: Duration,
    /// How long reading the local position may take. It waits for a checkpoint that is being installed.
    pub local_timeout: Duration,
    /// A peer that has been silent for this long is dead (`repl-timeout`).
    pub silence_timeout: Duration,
    /// Pause between two heartbeats of a session; well below `silence_timeout`.
    pub heartbeat_interval: Duration,
    /// A copy that has made no progress for this long has failed. The copy has finer deadlines of its own, which come first.
    pub copy_stall_timeout: Duration,
    /// Attempts count from 1 again once a connection has held this long.
    pub stable_after: Duration,
    /// Pauses after what passes by itself (`repl-retry-min-ms`, `repl-retry-max-ms`).
    pub retry: Retry,
    /// Pauses after what lasts for a while.
    pub retry_later: Retry,
    /// Pauses after what somebody has to change.
    pub retry_fatal: Retry,
    /// Time from one checkpoint that a follower needed because it took no more entries to the next for the same reason, at least:
    /// the cause may be what comes again.
    pub poisoned_copy_interval: Duration,
    /// Failures in a row after which a machine waits for a person (`repl-max-attempts`); `None` = it goes on trying.
    pub attempts_max: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            local_timeout: Duration::from_secs(60),
            silence_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(1),
            copy_stall_timeout: Duration::from_secs(900),
            stable_after: Duration::from_secs(5),
            retry: Retry::from_millis(100, 1_000),
            retry_later: Retry::from_millis(1_000, 30_000),
            retry_fatal: Retry::from_millis(5_000, 60_000),
            poisoned_copy_interval: Duration::from_secs(600),
            attempts_max: None,
        }
    }
}

impl Settings {
    /// Pauses for this kind of error.
    pub fn retry_for(&self, kind: &ErrorKind) -> Retry {
        match (kind, kind.class()) {
            // The source says that it is alive and that waiting is all there is to do: no need to grow the pause.
            (ErrorKind::PeerNotReady(NotReady::Busy | NotReady::Behind | NotReady::Circle), _) => Retry {
                min: self.retry.max.min(self.retry.min * 4),
                max: self.retry.max,
            },
            (_, Class::Retryable) => self.retry,
            (_, Class::RetryLater) => self.retry_later,
            (_, Class::FatalUntilChanged) => self.retry_fatal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn pauses_double_up_to_the_maximum_and_vary() {
        let retry = Retry::from_millis(100, 1_000);
        let mut rng = Rng(1);
        for (attempts, most) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (40, 1000),
            (u32::MAX, 1000),
        ] {
            let pauses: Vec<_> = (0..50).map(|_| retry.pause(attempts, &mut rng)).collect();
            assert!(pauses.iter().all(|p| *p <= Duration::from_millis(most)));
            assert!(pauses.iter().all(|p| *p >= Duration::from_millis(most / 2)));
            assert!(pauses.iter().any(|p| *p != pauses[0]));
        }
    }
}
