//! Rates: how much of something happened each second of late.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_millis(100);
/// Samples that a rate is the mean of.
const SAMPLES: usize = 16;

/// Counters that rates are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Commands.
    pub commands: f64,
    /// Bytes received.
    pub input_bytes: f64,
    /// Bytes sent.
    pub output_bytes: f64,
}

/// Keeps the last samples; anybody may take the next one.
pub struct Sampler(Mutex<State>);

struct State {
    last: Instant,
    counts: [u64; 3],
    samples: [Rates; SAMPLES],
    next: usize,
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler(Mutex::new(State {
            last: Instant::now(),
            counts: [0; 3],
            samples: [Rates::default(); SAMPLES],
            next: 0,
        }))
    }
}

impl Sampler {
    /// Takes a sample of the counters (commands, bytes received, bytes sent) if it is time for one and nobody else is
    /// doing it.
    pub fn sample(&self, now: Instant, counts: impl FnOnce() -> [u64; 3]) {
        let Some(mut state) = self.0.try_lock() else { return };
        let elapsed = now.saturating_duration_since(state.last);
        if elapsed < INTERVAL {
            return;
        }
        let counts = counts();
        let old = state.counts;
        // After CONFIG RESETSTAT a counter is smaller than it was.
        let rate = |i: usize| counts[i].saturating_sub(old[i]) as f64 / elapsed.as_secs_f64();
        let sample = Rates {
            commands: rate(0),
            input_bytes: rate(1),
            output_bytes: rate(2),
        };
        let next = state.next;
        state.samples[next] = sample;
        state.next = (next + 1) % SAMPLES;
        state.counts = counts;
        state.last = now;
    }

    /// Per second, over about the last second and a half.
    pub fn rates(&self) -> Rates {
        let state = self.0.lock();
        let mean = |of: fn(&Rates) -> f64| state.samples.iter().map(of).sum::<f64>() / SAMPLES as f64;
        Rates {
            commands: mean(|r| r.commands),
            input_bytes: mean(|r| r.input_bytes),
            output_bytes: mean(|r| r.output_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_its_own_mean() {
        let sampler = Sampler::default();
        let start = sampler.0.lock().last;
        for i in 1..=SAMPLES as u64 {
            let now = start + INTERVAL * i as u32;
            sampler.sample(now, || [100 * i, 1000 * i, 0]);
            // Too soon: not looked at.
            sampler.sample(now + INTERVAL / 2, || panic!("sampled too often"));
        }
        let rates = sampler.rates();
        assert!((rates.commands - 1000.0).abs() < 1e-6, "{rates:?}");
        assert!((rates.input_bytes - 10_000.0).abs() < 1e-6, "{rates:?}");
        assert_eq!(rates.output_bytes, 0.0);
        sampler.sample(start + INTERVAL * (SAMPLES as u32 + 1), || [0; 3]);
        assert!(sampler.rates().commands < 1000.0);
    }
}
