//! What RocksDB's background threads report, above all failures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use rocksdb::event_listener::{
    BackgroundErrorStatus, DBBackgroundErrorReason, EventListener, FlushJobInfo, MutableStatus,
};

use crate::error::is_no_space;

/// What RocksDB's background threads report.
#[derive(Default)]
pub struct Health {
    failed: AtomicBool,
    no_space: AtomicBool,
    cause: Mutex<Option<String>>,
    flushes: AtomicU64,
    flushed: Condvar,
    flushed_lock: Mutex<()>,
}

impl Health {
    /// Why background work has stopped, and whether for want of disk space; `None` while all is well.
    pub fn failure(&self) -> Option<(String, bool)> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        let cause = self.cause.lock().clone().unwrap_or_default();
        Some((cause, self.no_space.load(Ordering::Acquire)))
    }

    /// Number of memtables flushed so far.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Waits until a flush has completed since `flushes()` was `seen`, or the time is over.
    pub fn wait_flush(&self, seen: u64, timeout: std::time::Duration) {
        let mut lock = self.flushed_lock.lock();
        if self.flushes() == seen {
            self.flushed.wait_for(&mut lock, timeout);
        }
    }

    pub(crate) fn clear(&self) {
        *self.cause.lock() = None;
        self.no_space.store(false, Ordering::Release);
        self.failed.store(false, Ordering::Release);
    }
}

pub(crate) struct Listener(pub(crate) std::sync::Arc<Health>);

impl EventListener for Listener {
    fn on_flush_completed(&self, _: &FlushJobInfo) {
        self.0.flushes.fetch_add(1, Ordering::AcqRel);
        let _lock = self.0.flushed_lock.lock();
        self.0.flushed.notify_all();
    }

    fn on_error_recovery_begin(&self, _: DBBackgroundErrorReason, _: &BackgroundErrorStatus, automatic: &mut bool) {
        // RocksDB would wait until a default buffer's worth of space is free, 64 MiB, and meanwhile refuse
        // `Store::resume`, which asks for no more than is needed.
        *automatic = false;
    }

    fn on_background_error(&self, _: DBBackgroundErrorReason, status: MutableStatus) {
        if let Err(error) = status.result() {
            self.0.no_space.store(is_no_space(error), Ordering::Release);
            *self.0.cause.lock() = Some(error.to_string());
            self.0.failed.store(true, Ordering::Release);
        }
    }
}
