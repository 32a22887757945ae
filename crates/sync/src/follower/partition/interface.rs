//! What goes into the machine of a partition, and what comes out.

use super::super::Session;
use super::PartitionState;
use crate::copy::CopyProgress;
use crate::message::{CheckpointReason, LocalPosition, TrySync, TrySyncReply};
use crate::{AttemptId, EpochHistory, Failure, SessionId, SyncError, Transition};

/// What happens to a [`Partition`](super::Partition).
#[derive(Clone, Debug)]
pub enum PartitionEvent {
    /// The instance has a session.
    SessionUp(Session),
    /// The instance has lost this session.
    SessionDown(SessionId),
    /// Begin anew, with no failures counted: something is to be followed, perhaps the same source again.
    Restart,
    /// Something was changed (room on the disk) or a person wants it tried now: leave Error at once.
    Retry,
    /// The local position that `ReadPosition` asked for.
    PositionRead {
        /// Of the `ReadPosition`.
        attempt: AttemptId,
        /// The position.
        position: LocalPosition,
    },
    /// The source answered TrySync.
    Replied {
        /// Of the `SendTrySync`.
        attempt: AttemptId,
        /// The answer.
        reply: TrySyncReply,
    },
    /// The source was heard on the stream.
    Heard {
        /// Of the `OpenStream`.
        attempt: AttemptId,
    },
    /// The copy has got on.
    CopyProgress {
        /// Of the `StartCopy`.
        attempt: AttemptId,
        /// How far it is.
        progress: CopyProgress,
    },
    /// The checkpoint is installed: the partition now has its data, position and history.
    Installed {
        /// Of the `StartCopy`.
        attempt: AttemptId,
    },
    /// What this attempt had under way failed.
    Failed {
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// The deadline has come.
    Tick,
}

/// What the driver of a [`Partition`](super::Partition) has to do.
#[derive(Clone, Debug)]
pub enum PartitionAction {
    /// Log and count it.
    Transition(Transition<PartitionState>),
    /// All attempts are used up: log at ERROR. The machine waits for a person.
    GaveUp(SyncError),
    /// Read where the partition is. Not before what earlier attempts had under way has come to rest: an installation
    /// cannot be stopped in the middle, and a stream may still be appending.
    ReadPosition {
        /// For the events.
        attempt: AttemptId,
    },
    /// Ask the source.
    SendTrySync {
        /// For the events.
        attempt: AttemptId,
        /// The message.
        message: TrySync,
    },
    /// Make `history` the partition's, durably; then open the stream at `from`.
    OpenStream {
        /// For the events.
        attempt: AttemptId,
        /// The session it belongs to.
        session: SessionId,
        /// Index of the first entry.
        from: u64,
        /// The history up to there.
        history: EpochHistory,
    },
    /// Copy a checkpoint and install it ([`Copy`](crate::copy::Copy)). If it is needed because the log diverged, put
    /// the lost entries aside first.
    StartCopy {
        /// For the events.
        attempt: AttemptId,
        /// The session it belongs to.
        session: SessionId,
        /// Why.
        reason: CheckpointReason,
    },
    /// End what this attempt has under way. Copied files stay, for the next copy.
    Stop {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Tell the instance that its session is not known to the source (`InstanceEvent::SessionLost`).
    ReportSessionLost(SessionId),
}
