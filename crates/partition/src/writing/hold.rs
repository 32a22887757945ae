//! What may be changed of the writer between two commands, whether that is within a turn or not.

use std::sync::atomic::Ordering;

use haypile_commands::{CommandError, PackedLimits};
use haypile_oplog::{Retention, SyncPolicy};

use super::visit::Held;
use crate::partition::{Partition, Shared};
use crate::turn::Turn;

/// The writer, held: no turn is evaluated meanwhile, or it is the turn's own.
pub struct Hold<'a> {
    shared: &'a Shared,
    writer: Held<'a>,
}

impl Partition {
    /// Takes the writer.
    ///
    /// # Panics
    /// Within a turn, which has [`Turn::hold`].
    pub fn hold(&self) -> Hold<'_> {
        Hold {
            shared: &self.shared,
            writer: Held::Visit(self.shared.visit()),
        }
    }
}

impl Turn<'_> {
    /// The writer that this turn has.
    pub fn hold(&mut self) -> Hold<'_> {
        Hold {
            shared: self.shared,
            writer: Held::Turn(self.writer),
        }
    }
}

impl Hold<'_> {
    /// Changes when entries count as committed.
    pub fn set_sync(&mut self, policy: SyncPolicy) {
        self.writer.oplog.set_sync(policy);
        self.shared.commits.worker.wake();
    }

    /// Changes how much of the log is kept for its consumers.
    pub fn set_retention(&mut self, retention: Retention) {
        self.writer.oplog.set_retention(retention);
    }

    /// Changes up to where collections are packed.
    pub fn set_packed_limits(&mut self, limits: PackedLimits) {
        self.writer.packed_limits = limits;
        let entries = &self.shared.intset_entries_max;
        entries.store(limits.intset_entries, Ordering::Relaxed);
    }

    /// Ends the wait of a blocked client: with an error, or as if its time were over. False if it does not wait.
    pub fn unblock(&mut self, client: u64, why: Option<CommandError>) -> bool {
        let Some(mut task) = self.writer.blocked.remove(client) else {
            return false;
        };
        task.unblock(why);
        task.finish(Ok(()));
        true
    }
}
