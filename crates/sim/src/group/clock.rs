//! The clock of a simulated machine.

/// A machine's own time, as CLOCK_BOOTTIME is: it began at another moment, goes on while the machine sleeps, is never set, and goes at a
/// speed of its own, which changes within bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeClock {
    /// A moment, and what it showed then.
    since_us: u64,
    shown_us: u64,
    drift_ppm: i64,
}

impl NodeClock {
    /// The machine boots at `now_us`: its clock shows anything.
    pub(crate) fn booted(now_us: u64, shown_us: u64, drift_ppm: i64) -> Self {
        NodeClock {
            since_us: now_us,
            shown_us,
            drift_ppm,
        }
    }

    /// It goes at another speed from now on.
    pub(crate) fn drifts(&mut self, now_us: u64, drift_ppm: i64) {
        *self = NodeClock::booted(now_us, self.at(now_us), drift_ppm);
    }

    /// What it shows at the moment `now_us`, which is not before it was last changed.
    pub(crate) fn at(&self, now_us: u64) -> u64 {
        let passed = i128::from(now_us - self.since_us);
        self.shown_us + (passed * i128::from(1_000_000 + self.drift_ppm) / 1_000_000) as u64
    }

    /// The moment at which it shows this, or a little later.
    pub(crate) fn when(&self, shown_us: u64) -> u64 {
        let passed = i128::from(shown_us.saturating_sub(self.shown_us));
        self.since_us + (passed * 1_000_000 / i128::from(1_000_000 + self.drift_ppm)) as u64 + 1
    }
}
