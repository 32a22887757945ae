//! What follows when a turn is appended: commit, publish, settle.
//!
//! With `sync always` an entry counts when it is on disk, and one thread syncs for all who wait. Another thread settles:
//! it writes to RocksDB what was published.

use std::sync::atomic::{AtomicBool, Ordering};

use haypile_types::Position;

use crate::partition::Shared;
use crate::task::Task;
use crate::writing::Worker;
use crate::{CommitError, Event};

/// A turn that is appended and waits to be committed.
pub(crate) struct PendingTurn {
    pub(crate) position: Position,
    pub(crate) clock: u64,
    pub(crate) bytes: usize,
    pub(crate) tasks: Vec<Box<dyn Task>>,
    pub(crate) events: Vec<Event>,
    /// When it was proposed to its group, by that group's clock; 0 without a group.
    pub(crate) since_us: u64,
}

/// The committing thread.
#[derive(Default)]
pub(crate) struct Commits {
    pub(crate) worker: Worker,
    unmapped: AtomicBool,
    /// The log says so on disk.
    freeing: AtomicBool,
}

impl Commits {
    /// A keyspace is no database any more: it is freed once the log that says so is on disk.
    pub(crate) fn unmapped(&self) {
        self.unmapped.store(true, Ordering::Release);
        self.worker.wake();
    }
}

/// The committing thread's work: sync, then publish what is durable.
pub(crate) fn commit(shared: &Shared) {
    let unmapped = shared.commits.unmapped.swap(false, Ordering::AcqRel);
    if let Some(replica) = &shared.replica {
        let synced = shared.sync_group(replica).and_then(|()| match unmapped {
            // What is freed must not be met by a replay that ends before.
            true => shared.save_commit(replica),
            false => Ok(()),
        });
        match synced {
            Err(error) => shared.refuse_in_group(replica, &error),
            Ok(()) if unmapped => free(shared),
            Ok(()) => {}
        }
        return;
    }
    if !unmapped && shared.visit().pending.is_empty() {
        return;
    }
    match shared.syncer.sync() {
        Ok(_) => shared.publish_durable(),
        Err(error) => return shared.fail_pending(CommitError::from_log(&error)),
    }
    if unmapped {
        free(shared);
    }
}

/// Has keyspaces freed that are no databases any more. Those who wait for commits do not wait for that.
fn free(shared: &Shared) {
    shared.commits.freeing.store(true, Ordering::Release);
    shared.settling.wake();
}

/// The settling thread's work.
pub(crate) fn settle_and_free(shared: &Shared) {
    settle(shared);
    if shared.commits.freeing.swap(false, Ordering::AcqRel)
        && let Err(error) = shared.store.drop_unmapped(shared.syncer.durable_index())
    {
        tracing::error!(%error, "a database that was flushed cannot be freed on disk");
    }
}

/// Writes to the store what is published. An error is RocksDB's, which has it in its health as well.
pub(crate) fn settle(shared: &Shared) {
    if let Err(error) = shared.store.settle() {
        tracing::warn!(%error, "what is committed cannot be written to the store yet");
    }
}
