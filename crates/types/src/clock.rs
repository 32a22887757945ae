//! Time and chance, which come from outside, and the machine's own clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time, from outside, so that what decides expiry can be tested and simulated.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> u64;

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }
}

/// A source of random numbers, from outside for the same reason.
pub trait Random: Send {
    /// The next number, uniform over all of `u64`.
    fn next_u64(&mut self) -> u64;

    /// A number below `bound`, which is at least 1.
    ///
    /// Multiply-shift (Lemire, "Fast Random Integer Generation in an Interval", 2019) without the rejection
    /// step: the bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound.max(1))) >> 64) as u64
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the adapter through which everybody else gets the time
    fn now_us(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64)
    }
}
