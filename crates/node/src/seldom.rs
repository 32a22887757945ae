//! Lines of the log that strangers can cause as often as they like.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two lines of one kind, if nothing else is said.
const SELDOM: Duration = Duration::from_secs(10);

/// Lets a line into the log now and then, and counts those that it has kept out.
pub struct Seldom {
    every: Duration,
    said: Mutex<(Option<Instant>, u64)>,
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom::every(SELDOM)
    }
}

impl Seldom {
    /// One line in so much time.
    pub fn every(every: Duration) -> Self {
        Seldom {
            every,
            said: Mutex::default(),
        }
    }

    /// `None`: not now. Otherwise how many lines have not been said since the last one.
    pub fn tell(&self) -> Option<u64> {
        self.tell_at(Instant::now())
    }

    fn tell_at(&self, now: Instant) -> Option<u64> {
        let (last, unsaid) = &mut *self.said.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < self.every) {
            *unsaid += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_cause_is_said_now_and_then() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.tell_at(start), Some(0));
        assert_eq!(seldom.tell_at(start + SELDOM / 2), None);
        assert_eq!(seldom.tell_at(start + SELDOM / 2), None);
        assert_eq!(seldom.tell_at(start + SELDOM), Some(2));
        assert_eq!(seldom.tell_at(start + SELDOM), None);
    }
}
