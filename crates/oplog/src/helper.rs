//! The log's own thread: prepares the next segment's file, syncs full segments, and syncs every second when
//! that is the policy. It sleeps while there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::OplogError;
use crate::spares::Spares;
use crate::syncer::Syncer;

const SYNC_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Helper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<Todo>,
    wake: Condvar,
    /// Whether a sync is due already, so that the writer need not say so with each batch.
    sync_scheduled: AtomicBool,
}

#[derive(Default)]
struct Todo {
    stop: bool,
    spare: bool,
    sync_now: bool,
    sync_at: Option<Instant>,
}

impl Helper {
    pub(crate) fn start(syncer: Arc<Syncer>, spares: Arc<Spares>) -> Result<Helper, OplogError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(Todo::default()),
            wake: Condvar::new(),
            sync_scheduled: AtomicBool::new(false),
        });
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("oplog-helper".into());
        let thread = thread
            .spawn(move || own.run(&syncer, &spares))
            .map_err(|source| OplogError::Io {
                verb: "start the thread",
                path: "oplog-helper".into(),
                source,
            })?;
        Ok(Helper {
            shared,
            thread: Some(thread),
        })
    }

    /// The segment in use is filling up: have the next one ready.
    pub(crate) fn want_spare(&self) {
        self.shared.state.lock().spare = true;
        self.shared.wake.notify_one();
    }

    /// A segment is full: sync it, so that no policy leaves more than a segment to the page cache.
    pub(crate) fn want_sync(&self) {
        self.shared.state.lock().sync_now = true;
        self.shared.wake.notify_one();
    }

    /// Something has been written that is to be durable within a second.
    pub(crate) fn schedule_sync(&self) {
        if self.shared.sync_scheduled.load(Ordering::SeqCst) {
            return;
        }
        let mut todo = self.shared.state.lock();
        if todo.sync_at.is_none() {
            todo.sync_at = Some(Instant::now() + SYNC_EVERY);
            self.shared.sync_scheduled.store(true, Ordering::SeqCst);
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread oplog-helper panicked");
        }
    }
}

impl Shared {
    fn run(&self, syncer: &Syncer, spares: &Spares) {
        let mut todo = self.state.lock();
        while !todo.stop {
            let overdue = todo.sync_at.is_some_and(|at| at <= Instant::now());
            if todo.sync_now || overdue {
                todo.sync_now = false;
                todo.sync_at = None;
                // Before the sync: a batch that sees it unset after this schedules the next sync, and one that
                // still saw it set has been published, so this sync covers it.
                self.sync_scheduled.store(false, Ordering::SeqCst);
                drop(todo);
                // The syncer has logged the failure and the writer meets it at its next batch.
                let _ = syncer.sync();
                todo = self.state.lock();
            } else if todo.spare {
                todo.spare = false;
                drop(todo);
                if let Err(error) = spares.prepare() {
                    tracing::warn!(%error, "the next log segment could not be prepared; the writer tries again when it needs it");
                }
                todo = self.state.lock();
            } else if let Some(at) = todo.sync_at {
                self.wake.wait_until(&mut todo, at);
            } else {
                self.wake.wait(&mut todo);
            }
        }
    }
}
