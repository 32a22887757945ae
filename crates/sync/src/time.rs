//! Moments, which come from outside.

use std::ops::Add;
use std::time::Duration;

/// A moment, as the time since some fixed moment that the driver chose, for example when the process started.
///
/// It must never go back. The machines take it from outside, so that a simulation can run them in fake time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The moment that lies `since` after the driver's fixed moment.
    pub const fn new(since: Duration) -> Self {
        Time(since)
    }

    /// The moment that lies this many milliseconds after the driver's fixed moment.
    pub const fn from_millis(ms: u64) -> Self {
        Time(Duration::from_millis(ms))
    }

    /// The time that has passed since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(span))
    }
}
