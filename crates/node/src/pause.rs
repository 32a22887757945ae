//! Pauses: CLIENT PAUSE, and that of a failover. Each has an end of its own; the strictest counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haypile_types::Clock;

use crate::front::Front;
use crate::partitions::Partitions;

/// Who pauses clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PausePurpose {
    /// CLIENT PAUSE.
    ByCommand,
    /// FAILOVER.
    Failover,
}

/// Holds clients up, and expiry with them.
pub struct Pausing {
    pauses: Pauses,
    clock: Arc<dyn Clock>,
    partitions: Arc<Partitions>,
    front: Arc<dyn Front>,
}

impl Pausing {
    pub(crate) fn new(clock: Arc<dyn Clock>, partitions: Arc<Partitions>, front: Arc<dyn Front>) -> Pausing {
        Pausing {
            pauses: Pauses::default(),
            clock,
            partitions,
            front,
        }
    }

    /// Pauses clients until a time, for all commands or for those that write. A pause of the same purpose that lasts is
    /// neither shortened nor made weaker; those of other purposes stay as they are.
    pub fn begin(&self, purpose: PausePurpose, until_ms: u64, writes_only: bool) {
        self.pauses.begin(purpose, self.clock.now_ms(), until_ms, writes_only);
        self.hold_expiry(self.pauses.until_ms());
    }

    /// Ends the pause of this purpose.
    pub fn end(&self, purpose: PausePurpose) {
        self.pauses.end(purpose);
        self.hold_expiry(self.pauses.until_ms());
        self.front.wake();
    }

    fn hold_expiry(&self, until_ms: u64) {
        for open in self.partitions.all_open() {
            open.maintenance.hold_expiry(until_ms);
        }
    }

    /// True if a command has to wait for the end of a pause.
    pub fn holds(&self, writes: bool) -> bool {
        self.pauses.holds(writes, || self.clock.now_ms())
    }
}

/// The pauses that there are.
#[derive(Default)]
struct Pauses {
    by_command: Pause,
    failover: Pause,
}

/// Two ends, milliseconds since the epoch; 0 = not paused.
#[derive(Default)]
struct Pause {
    /// Of commands that write.
    writes_until_ms: AtomicU64,
    /// Of all commands.
    all_until_ms: AtomicU64,
}

impl Pauses {
    fn of(&self, purpose: PausePurpose) -> &Pause {
        match purpose {
            PausePurpose::ByCommand => &self.by_command,
            PausePurpose::Failover => &self.failover,
        }
    }

    /// Begins a pause, or makes one of the same purpose longer or stricter. As in Redis, one of all commands that is made
    /// longer stays one of all commands.
    fn begin(&self, purpose: PausePurpose, now_ms: u64, until_ms: u64, writes_only: bool) {
        let pause = self.of(purpose);
        let until_ms = pause
            .writes_until_ms
            .fetch_max(until_ms, Ordering::SeqCst)
            .max(until_ms);
        if !writes_only || pause.all_until_ms.load(Ordering::SeqCst) > now_ms {
            pause.all_until_ms.fetch_max(until_ms, Ordering::SeqCst);
        }
    }

    /// Ends the pause of one purpose.
    fn end(&self, purpose: PausePurpose) {
        let pause = self.of(purpose);
        pause.all_until_ms.store(0, Ordering::SeqCst);
        pause.writes_until_ms.store(0, Ordering::SeqCst);
    }

    /// When the last of them ends.
    fn until_ms(&self) -> u64 {
        let ends = [&self.by_command, &self.failover].map(|pause| pause.writes_until_ms.load(Ordering::SeqCst));
        ends[0].max(ends[1])
    }

    /// True if a command has to wait. The time is asked for only if there is a pause.
    fn holds(&self, writes: bool, now_ms: impl Fn() -> u64) -> bool {
        [&self.by_command, &self.failover].into_iter().any(|pause| {
            let until = match writes {
                true => &pause.writes_until_ms,
                false => &pause.all_until_ms,
            };
            let until_ms = until.load(Ordering::Relaxed);
            if until_ms == 0 {
                return false;
            }
            if now_ms() < until_ms {
                return true;
            }
            // Over: from now on without a look at the clock, unless it has just been made longer.
            let _ = until.compare_exchange(until_ms, 0, Ordering::SeqCst, Ordering::Relaxed);
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PausePurpose::{ByCommand, Failover};

    fn holds(pauses: &Pauses, now_ms: u64) -> (bool, bool) {
        (pauses.holds(true, || now_ms), pauses.holds(false, || now_ms))
    }

    #[test]
    fn one_ends_without_the_other() {
        let pauses = Pauses::default();
        assert_eq!(holds(&pauses, 0), (false, false));
        pauses.begin(ByCommand, 0, 100, false);
        pauses.begin(Failover, 0, 1000, true);
        assert_eq!(pauses.until_ms(), 1000);
        assert_eq!(holds(&pauses, 50), (true, true));
        pauses.end(Failover);
        assert_eq!(pauses.until_ms(), 100);
        assert_eq!(holds(&pauses, 99), (true, true));
        assert_eq!(holds(&pauses, 100), (false, false));
        pauses.begin(Failover, 100, 1000, true);
        assert_eq!(holds(&pauses, 100), (true, false));
    }

    #[test]
    fn a_pause_is_made_neither_shorter_nor_weaker() {
        let pauses = Pauses::default();
        pauses.begin(ByCommand, 0, 100, false);
        pauses.begin(ByCommand, 0, 50, true);
        assert_eq!(holds(&pauses, 99), (true, true));
        pauses.begin(ByCommand, 50, 200, true);
        assert_eq!(holds(&pauses, 199), (true, true), "longer, and of all commands still");
        assert_eq!(holds(&pauses, 200), (false, false));
        pauses.begin(ByCommand, 200, 300, true);
        pauses.begin(ByCommand, 200, 250, false);
        assert_eq!(holds(&pauses, 299), (true, true), "stricter, and as long");
        pauses.end(ByCommand);
        assert_eq!(holds(&pauses, 299), (false, false));
    }
}
