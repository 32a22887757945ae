//! What a partition is in replication: the writer of its own log, or a follower that takes entries from elsewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_commands::CommandError;
use haypile_oplog::{Readers, Syncer};
use haypile_sync::source::LogView;
use haypile_sync::{Epoch, EpochHistory, EpochId, LocalPosition, Tenure};
use haypile_types::{Position, Random};

use crate::partition::{Partition, Shared, Writer};
use crate::turn::Turn;
use crate::writing::Held;
use crate::{PartitionError, ReplicaId, identity};

/// Who writes a partition's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// This partition's own writer.
    #[default]
    Leader,
    /// Somebody else: entries come by [`Partition::append_replicated`].
    Follower,
}

/// How far a log is durable and visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// Index up to which it is durable.
    pub durable: u64,
    /// Index up to which readers see it.
    pub applied: u64,
}

/// What clients are told that wait for a key when a leader becomes a follower.
const UNBLOCKED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
/// The answer to a write on a follower.
pub(crate) const READ_ONLY: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "READONLY You can't write against a read only replica.",
));

/// A fresh epoch id.
pub(crate) fn fresh_id(random: &mut dyn Random) -> EpochId {
    EpochId((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()))
}

/// The history that a partition starts with, from what its file says and where its log ends. A leader's gets a new
/// epoch: it may have lost the end of its log, and then followers have entries that it would write anew.
pub(crate) fn history_at_start(
    saved: &EpochHistory,
    end: Position,
    role: Role,
    random: &mut dyn Random,
) -> EpochHistory {
    let mut history = saved.up_to(end.index);
    if end.index > 0 && history.position_of(end.index) != Some(end) {
        // Data without a history, a restored backup say: what is there has one writer, whoever it was.
        return history_of_term(end.term, fresh_id(random));
    }
    if role == Role::Leader {
        history.begin_at_start(fresh_id(random), end.index);
    }
    history
}

/// A history with one epoch from the first entry on.
fn history_of_term(term: u64, id: EpochId) -> EpochHistory {
    let epoch = Epoch {
        term: term.max(1),
        id,
        first_index: 1,
    };
    // One epoch with term and index of at least 1 is always a history.
    EpochHistory::from_epochs(vec![epoch]).unwrap_or_default()
}

impl Shared {
    /// Saves the history that this start has begun with, if there was no room for it then.
    pub(crate) fn save_epochs(&self) -> Result<(), PartitionError> {
        let mut epochs = self.epochs.lock();
        if !epochs.saved {
            identity::save(&self.dir, Some(epochs.replica), &epochs.history)?;
            epochs.saved = true;
        }
        Ok(())
    }

    pub(crate) fn role(&self) -> Role {
        match self.following.load(Ordering::Acquire) {
            true => Role::Follower,
            false => Role::Leader,
        }
    }

    /// True for whoever works for the role that the partition has now. Changes only while the writer and the epochs are held.
    pub(crate) fn is_current(&self, tenure: Tenure) -> bool {
        self.tenure.load(Ordering::Acquire) == tenure.0
    }

    fn begin_tenure(&self, _: &mut Writer, _: &mut Epochs, tenure: Tenure, role: Role) {
        let before = self.tenure.swap(tenure.0, Ordering::AcqRel);
        assert!(
            before <= tenure.0,
            "a role of the past is taken again: {tenure} after {before}"
        );
        self.following.store(role == Role::Follower, Ordering::Release);
    }

    fn follow(&self, writer: &mut Writer, tenure: Tenure) {
        self.begin_tenure(writer, &mut self.epochs.lock(), tenure, Role::Follower);
        for mut task in writer.blocked.take_all() {
            task.unblock(Some(CommandError::reply(UNBLOCKED)));
            task.finish(Ok(()));
        }
    }

    /// Begins an epoch; with a tenure, as the writer that the partition has become.
    fn begin_epoch(&self, writer: &mut Writer, tenure: Option<Tenure>) -> Result<Epoch, PartitionError> {
        let mut epochs = self.epochs.lock();
        // A new epoch must not stand after entries that a crash could take away.
        self.syncer.sync()?;
        let mut history = epochs.history.clone();
        let epoch = history.begin(fresh_id(&mut *writer.random), writer.oplog.last().index);
        identity::save(&self.dir, Some(epochs.replica), &history)?;
        epochs.history = history;
        writer.term = epoch.term;
        writer.overlay.forget_knowledge();
        if let Some(tenure) = tenure {
            self.begin_tenure(writer, &mut epochs, tenure, Role::Leader);
        }
        Ok(epoch)
    }
}

/// Who wrote the log.
pub(crate) struct Epochs {
    /// Whose file it is that has the history.
    pub(crate) replica: ReplicaId,
    pub(crate) history: EpochHistory,
    /// The disk has it. If not, for want of room, nothing is written until it has.
    pub(crate) saved: bool,
}

impl Partition {
    /// Who writes the log.
    pub fn role(&self) -> Role {
        self.shared.role()
    }

    /// False while writes are refused, for whatever reason.
    pub fn takes_writes(&self) -> bool {
        self.shared.refusal().is_none()
    }

    /// Which replica of its partition this is.
    pub fn replica_id(&self) -> ReplicaId {
        self.shared.epochs.lock().replica
    }

    /// Who wrote which part of the log.
    pub fn history(&self) -> EpochHistory {
        self.shared.epochs.lock().history.clone()
    }

    /// The history that goes with a checkpoint that was made at `position`: to be asked after it was made. A group's terms are elections',
    /// of which there may be thousands; whoever gets its checkpoint need only know in which one it ends.
    pub fn history_up_to(&self, position: Position) -> EpochHistory {
        match self.shared.replica {
            None => self.history().up_to(position.index),
            Some(_) => history_of_term(position.term, EpochId(u128::from(position.term))),
        }
    }

    /// Where the log ends, what of it is durable and visible, and who wrote it.
    pub fn local_position(&self) -> LocalPosition {
        let shared = &self.shared;
        let durable = shared.syncer.durable_index();
        let applied = shared.store.applied().index;
        let end = shared.syncer.written();
        let history = shared.epochs.lock().history.up_to(end.index);
        LocalPosition {
            end,
            durable: durable.min(end.index),
            applied: applied.min(end.index),
            history,
            poisoned: shared.refusal_is_no_space() == Some(false),
        }
    }

    /// As [`Partition::local_position`], without the history: cheap.
    pub fn log_ends(&self) -> LogEnds {
        let shared = &self.shared;
        LogEnds {
            durable: shared.syncer.durable_index(),
            applied: shared.store.applied().index,
        }
    }

    /// The hybrid logical clock of the last entry that is visible, microseconds.
    pub fn applied_clock_us(&self) -> u64 {
        self.shared.store.applied_clock()
    }

    /// The log as a source of others sees it.
    pub fn log_view(&self) -> LogView {
        let shared = &self.shared;
        // In this order: a history that is newer than the end is cut to it; an older one would be wrong.
        let last = shared.syncer.written_index();
        let first = shared.readers.first_index();
        LogView {
            history: shared.epochs.lock().history.up_to(last),
            first,
            last,
            writer: shared.role() == Role::Leader,
        }
    }

    /// Readers of the log.
    pub fn readers(&self) -> Readers {
        self.shared.readers.clone()
    }

    /// What of the log is written and what is durable.
    pub fn syncer(&self) -> Arc<Syncer> {
        self.shared.syncer.clone()
    }

    /// How many databases the store has: both sides of a replication must have the same.
    pub fn databases(&self) -> u16 {
        self.shared.store.databases()
    }

    /// Takes another history for a log that ends with the entry at `end`, as the follower that it is in this tenure, and waits
    /// until the disk has it.
    ///
    /// # Errors
    /// It cannot be saved. Or the tenure is over, or the log does not end there any more, or is another than the history says.
    /// The history is then as before.
    pub fn set_history(&self, tenure: Tenure, history: EpochHistory, end: u64) -> Result<(), PartitionError> {
        // Nothing is appended meanwhile.
        let writer = self.shared.visit();
        let mut epochs = self.shared.epochs.lock();
        if self.shared.role() == Role::Leader || !self.shared.is_current(tenure) {
            return Err(PartitionError::OtherRole);
        }
        let last = writer.oplog.last();
        if last.index != end || history.position_of(end).is_some_and(|position| position != last) {
            return Err(PartitionError::OtherLog { last, end });
        }
        if epochs.history != history {
            identity::save(&self.shared.dir, Some(epochs.replica), &history)?;
            epochs.history = history;
        }
        Ok(())
    }

    /// Takes the writer, so that the role can be changed: no turn is evaluated meanwhile.
    ///
    /// # Panics
    /// Within a turn, which has [`Turn::role_change`].
    pub fn role_change(&self) -> RoleChange<'_> {
        RoleChange {
            shared: &self.shared,
            writer: Held::Visit(self.shared.visit()),
        }
    }

    /// Begins another epoch as the writer of the log.
    ///
    /// # Panics
    /// Within a turn.
    ///
    /// # Errors
    /// As [`RoleChange::promote`]; or the partition is a follower.
    pub fn begin_epoch(&self) -> Result<Epoch, PartitionError> {
        if self.is_in_group() {
            // Its terms are elections'.
            return Err(PartitionError::OtherRole);
        }
        let mut writer = self.shared.visit();
        match self.role() {
            Role::Leader => self.shared.begin_epoch(&mut writer, None),
            Role::Follower => Err(PartitionError::OtherRole),
        }
    }

    /// Ends what depends on this partition, because another takes its place: clients that wait for keys are told, and
    /// transactions that watch a key fail.
    pub fn retire(&self) {
        let mut writer = self.shared.visit();
        writer.watch.mark_all();
        for mut task in writer.blocked.take_all() {
            task.unblock(Some(CommandError::reply(UNBLOCKED)));
            task.finish(Ok(()));
        }
    }
}

impl Turn<'_> {
    /// As [`Partition::role_change`], within this turn.
    pub fn role_change(&mut self) -> RoleChange<'_> {
        RoleChange {
            shared: self.shared,
            writer: Held::Turn(self.writer),
        }
    }
}

/// The right to change a partition's role: nobody writes meanwhile.
pub struct RoleChange<'a> {
    shared: &'a Shared,
    writer: Held<'a>,
}

impl RoleChange<'_> {
    /// Is a follower from here on: writes are refused, and entries are taken from who holds this tenure. Clients that wait for
    /// keys are told.
    pub fn follow(&mut self, tenure: Tenure) {
        self.shared.follow(&mut self.writer, tenure);
    }

    /// Becomes the writer of its log, in a new epoch. Entries of a stream that is still open are refused from here on.
    ///
    /// # Errors
    /// The log cannot be synced or the new epoch cannot be saved; its role is as before.
    pub fn promote(&mut self, tenure: Tenure) -> Result<Epoch, PartitionError> {
        self.shared.begin_epoch(&mut self.writer, Some(tenure))
    }
}
