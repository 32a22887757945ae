//! The end of the log, and those who wait for it to move.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Where readers wait that have read everything.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    waiters: AtomicUsize,
    lock: Mutex<()>,
    moved: Condvar,
}

impl Tail {
    /// Wakes those who wait; costs one load if nobody does.
    pub(crate) fn moved(&self) {
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) > 0 {
            let _lock = self.lock.lock();
            self.moved.notify_all();
        }
    }

    /// Waits until `ready`, which is looked at after each move; false if the time is up before.
    pub(crate) fn wait(&self, timeout: Duration, ready: impl Fn() -> bool) -> bool {
        if ready() {
            return true;
        }
        // A timeout beyond what the clock can express is a wait without one.
        let until = Instant::now().checked_add(timeout);
        let mut lock = self.lock.lock();
        self.waiters.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut timed_out = false;
        let outcome = loop {
            if ready() {
                break true;
            }
            if timed_out {
                break false;
            }
            match until {
                Some(until) => timed_out = self.moved.wait_until(&mut lock, until).timed_out(),
                None => self.moved.wait(&mut lock),
            }
        };
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}
