//! LATENCY's memory: events that took at least `latency-monitor-threshold` milliseconds.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// Samples kept of each event, as in Redis.
const SAMPLES_MAX: usize = 160;

/// One second's worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the epoch.
    pub at: u64,
    /// Milliseconds.
    pub ms: u64,
}

/// What is known of one event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest ever.
    pub max_ms: u64,
}

/// All events by name.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyMonitor {
    /// Remembers that an event took this long. Of several in one second the longest is kept.
    pub fn add(&self, event: &'static str, at: u64, ms: u64) {
        let mut events = self.events.lock();
        let series = events.entry(event).or_default();
        series.max_ms = series.max_ms.max(ms);
        match series.samples.back_mut() {
            Some(last) if last.at == at => last.ms = last.ms.max(ms),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { at, ms });
            }
        }
    }

    /// One event's.
    pub fn series(&self, event: &str) -> Option<Series> {
        self.events.lock().get(event).cloned()
    }

    /// Every event that has happened, by name.
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        self.events
            .lock()
            .iter()
            .map(|(name, series)| (*name, series.clone()))
            .collect()
    }

    /// Forgets one event; false if there was nothing to forget.
    pub fn reset(&self, event: &str) -> bool {
        self.events.lock().remove(event).is_some()
    }

    /// Forgets all; gives how many events there were.
    pub fn reset_all(&self) -> usize {
        let mut events = self.events.lock();
        let count = events.len();
        events.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_worst_of_each_second_and_a_bounded_number() {
        let monitor = LatencyMonitor::default();
        monitor.add("command", 1, 30);
        monitor.add("command", 1, 50);
        monitor.add("command", 1, 40);
        for at in 2..200 {
            monitor.add("command", at, at);
        }
        let series = monitor.series("command").unwrap();
        assert_eq!((series.samples.len(), series.max_ms), (SAMPLES_MAX, 199));
        assert_eq!(series.samples.back(), Some(&Sample { at: 199, ms: 199 }));
        monitor.add("fast-command", 1, 5);
        assert_eq!(monitor.all().len(), 2);
        assert!(monitor.reset("command") && !monitor.reset("command"));
        assert_eq!(monitor.reset_all(), 1);
    }
}
