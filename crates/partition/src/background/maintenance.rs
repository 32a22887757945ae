//! What a partition does by itself: removes expired keys, lets go of the log that the store has saved, notices
//! a full disk and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use haypile_oplog::Wanted;
use haypile_types::Position;
use parking_lot::{Condvar, Mutex};

use super::expiry::{Expiry, MayExpire};
use crate::commit;
use crate::partition::{Partition, Shared};
use crate::{CommitError, PartitionError};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);
/// Time between two looks as long as more expired keys wait to be removed.
const BUSY_TICK: Duration = Duration::from_millis(20);
/// Ticks between two times that what was published is written to the store, however little it is.
const SETTLE_TICKS: u64 = 10;
/// Ticks between two looks at the disk.
const SPACE_TICKS: u64 = 10;

/// Segments of log for which there must be room, above what makes writes being refused, before log is kept that could go:
/// the disk never fills because somebody is away.
const KEEP_FREE_SEGMENTS: u64 = 2;
/// Bytes beyond the log's reserve without which it would refuse the next segment at once.
const LOG_BYTES_MORE: u64 = 2 << 20;

/// The running maintenance of a partition; it ends when this is dropped.
pub struct Maintenance {
    stop: Arc<(Mutex<bool>, Condvar)>,
    expire: Arc<AtomicBool>,
    /// Milliseconds since the epoch until which no key is removed.
    held_until_ms: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Maintenance {
    /// Starts it.
    pub fn start(partition: &Partition) -> Result<Maintenance, PartitionError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let expire = Arc::new(AtomicBool::new(true));
        let held_until_ms = Arc::new(AtomicU64::new(0));
        let may_expire = MayExpire {
            expire: expire.clone(),
            held_until_ms: held_until_ms.clone(),
            clock: partition.shared.clock.clone(),
        };
        let mut state = State {
            shared: partition.shared.clone(),
            expiry: Expiry::new(may_expire),
            flushes: 0,
            ticks: 0,
            persisted: Position::ZERO,
            logged_bytes_then: 0,
        };
        let stop_seen = stop.clone();
        let thread = std::thread::Builder::new()
            .name("maintenance".into())
            .spawn(move || {
                let mut pause = TICK;
                loop {
                    let mut stopped = stop_seen.0.lock();
                    if !*stopped {
                        stop_seen.1.wait_for(&mut stopped, pause);
                    }
                    if *stopped {
                        return;
                    }
                    drop(stopped);
                    pause = if state.tick() { BUSY_TICK } else { TICK };
                }
            })
            .map_err(|source| PartitionError::Io {
                verb: "start a thread for",
                path: "maintenance".into(),
                source,
            })?;
        Ok(Maintenance {
            stop,
            expire,
            held_until_ms,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Turns the removal of expired keys off and on: `DEBUG SET-ACTIVE-EXPIRE`.
    pub fn set_active_expire(&self, on: bool) {
        self.expire.store(on, Ordering::Relaxed);
    }

    /// Removes no expired keys until then, in milliseconds since the epoch: nothing is written while clients are
    /// paused. 0 ends that at once.
    pub fn hold_expiry(&self, until_ms: u64) {
        self.held_until_ms.store(until_ms, Ordering::Relaxed);
        if until_ms == 0 {
            self.stop.1.notify_all();
        }
    }

    /// Ends it, before the partition is closed: nothing must be written after that.
    pub fn stop(&self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the maintenance thread has panicked");
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop();
    }
}

struct State {
    shared: Arc<Shared>,
    expiry: Expiry,
    flushes: u64,
    ticks: u64,
    /// What the store had saved at the last look, and how much had been logged when that was new.
    persisted: Position,
    logged_bytes_then: u64,
}

impl State {
    /// True if it is to come again soon.
    fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.shared.retry_group();
        let busy = self.expiry.remove_due(&self.shared);
        if self.ticks.is_multiple_of(SETTLE_TICKS) {
            commit::settle(&self.shared);
        }
        let flushes = self.shared.store.health().flushes();
        if flushes != self.flushes || self.ticks.is_multiple_of(SPACE_TICKS) {
            self.flushes = flushes;
            if let Err(error) = self.collect() {
                tracing::warn!(%error, "the log cannot be collected");
            }
        }
        if self.ticks.is_multiple_of(SPACE_TICKS) {
            self.look_at_space();
        }
        busy
    }

    /// Releases log segments that the store has saved; has the store flushed when too much log depends on memory.
    fn collect(&mut self) -> Result<(), PartitionError> {
        let shared = &*self.shared;
        let persisted = shared.store.persisted()?;
        let now_ms = shared.clock.now_ms();
        let hooks = shared.hooks.lock().clone();
        let of_others = hooks.and_then(|hooks| hooks.log_needed_from(shared.readers.first_index()));
        let wanted = Wanted {
            from: of_others.into_iter().chain(shared.group_needs_from()).min(),
            free_bytes_min: shared.disk_free_bytes_min.load(Ordering::Relaxed)
                + KEEP_FREE_SEGMENTS * shared.log_segment_bytes,
        };
        let mut writer = shared.visit();
        let collected = writer.oplog.collect_but(persisted.index, now_ms, wanted)?;
        if collected.segments > 0 {
            shared.group_log_collected(&writer);
        }
        let logged_bytes = writer.logged_bytes;
        drop(writer);
        if persisted != self.persisted {
            self.persisted = persisted;
            self.logged_bytes_then = logged_bytes;
        }
        if logged_bytes - self.logged_bytes_then > self.shared.unflushed_log_bytes_max {
            self.shared.store.flush()?;
        }
        Ok(())
    }

    fn look_at_space(&self) {
        let shared = &self.shared;
        let free = free_bytes(shared.store.path());
        let minimum = shared.disk_free_bytes_min.load(Ordering::Relaxed);
        let failure = shared.store.health().failure();
        match (free, failure) {
            (Some(free), _) if free < minimum => {
                let text = format!("{free} bytes are free on the disk, and disk-free-min-bytes is {minimum}");
                if shared.refusal_is_no_space().is_none() {
                    tracing::error!(
                        free,
                        minimum,
                        "the disk is full: writes are refused until there is room"
                    );
                }
                shared.refuse(&CommitError::NoSpace(text));
            }
            (_, Some((cause, no_space))) => {
                shared.refuse(&match no_space {
                    true => CommitError::NoSpace(cause),
                    false => CommitError::Poisoned(cause),
                });
                if no_space && free.is_none_or(|free| free >= minimum + shared.store.resume_bytes()) {
                    self.resume();
                }
            }
            _ if shared.refusal_is_no_space() == Some(true)
                && free.is_none_or(|free| free >= shared.log_free_bytes_min + LOG_BYTES_MORE) =>
            {
                self.resume();
            }
            _ => {}
        }
    }

    fn resume(&self) {
        if let Err(error) = self.shared.save_epochs() {
            tracing::warn!(%error, "the epoch history cannot be saved yet");
            return;
        }
        match self.shared.store.resume() {
            Ok(()) => {
                if self.shared.accept_again() {
                    tracing::info!("there is room on the disk again: writes are accepted");
                }
            }
            Err(error) => tracing::warn!(%error, "the store cannot go on yet"),
        }
    }
}

/// Bytes that are free on the file system of `path`; `None` if the system does not say.
fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}
