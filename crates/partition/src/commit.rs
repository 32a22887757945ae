//! Commit by sync: with `sync always` an entry counts when it is on disk. One thread syncs for all who wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use haypile_types::Position;
use parking_lot::{Condvar, Mutex};

use crate::partition::Shared;
use crate::task::Task;
use crate::{CommitError, Event, PartitionError};

/// A turn that is appended and waits to be committed.
pub(crate) struct PendingTurn {
    pub(crate) position: Position,
    pub(crate) clock: u64,
    pub(crate) bytes: usize,
    pub(crate) tasks: Vec<Box<dyn Task>>,
    pub(crate) events: Vec<Event>,
}

/// The committing thread, and how to wake it.
#[derive(Default)]
pub(crate) struct Commits {
    wanted: Mutex<bool>,
    wake: Condvar,
    unmapped: AtomicBool,
    stop: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Commits {
    pub(crate) fn start(&self, shared: &Arc<Shared>) -> Result<(), PartitionError> {
        let weak = Arc::downgrade(shared);
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || run(&weak))
            .map_err(|source| PartitionError::Io {
                verb: "start a thread for",
                path: "commits".into(),
                source,
            })?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Something was appended that waits for a sync.
    pub(crate) fn wake(&self) {
        *self.wanted.lock() = true;
        self.wake.notify_one();
    }

    /// A keyspace is no database any more: it is freed once the log that says so is on disk.
    pub(crate) fn unmapped(&self) {
        self.unmapped.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends the thread after it has committed what waits.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the committing thread has panicked");
        }
    }

    /// Waits for work; false when it is time to stop.
    fn wait(&self) -> bool {
        let mut wanted = self.wanted.lock();
        while !*wanted {
            if self.stop.load(Ordering::Acquire) {
                return false;
            }
            self.wake.wait_for(&mut wanted, std::time::Duration::from_secs(1));
            if !*wanted {
                return !self.stop.load(Ordering::Acquire);
            }
        }
        *wanted = false;
        true
    }
}

fn run(weak: &Weak<Shared>) {
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let go_on = shared.commits.wait();
        let unmapped = shared.commits.unmapped.swap(false, Ordering::AcqRel);
        if unmapped || !shared.writer.lock().pending.is_empty() {
            match shared.syncer.sync() {
                Ok(_) => shared.settle(),
                Err(error) => shared.fail_pending(CommitError::from_log(&error)),
            }
        }
        if unmapped && let Err(error) = shared.store.drop_unmapped() {
            tracing::error!(%error, "a database that was flushed cannot be freed on disk");
        }
        if !go_on {
            return;
        }
    }
}
