//! The states of a partition's machine, and the table of its transitions.

use crate::table::{markdown, named};

named! {
    /// States of the partition machine.
    PartitionState {
        /// Nothing is under way. Left at once when there is a session; without one, the instance machine has the
        /// deadlines.
        NoConnect = "NoConnect",
        /// The local position is being read.
        TryConnect = "TryConnect",
        /// TrySync is sent, its answer awaited.
        WaitReply = "WaitReply",
        /// A checkpoint is being copied and installed.
        WaitDBSync = "WaitDBSync",
        /// The log is streamed.
        Connected = "Connected",
        /// Something failed. Left by itself after a pause, unless a person is needed.
        Error = "Error",
    }
}

named! {
    /// What can happen to the partition machine, late and doubled events set aside.
    PartitionInput {
        /// The instance has a session; perhaps another than before.
        SessionUp = "session up",
        /// The instance has lost its session.
        SessionDown = "session down",
        /// Somebody wants a source followed; also the same one again.
        Restart = "restart",
        /// Somebody changed what may have been the cause of an error, or wants it tried again.
        Retry = "retry",
        /// The local position is known.
        PositionRead = "position read",
        /// The source can go on from there.
        Continue = "continue",
        /// The source cannot: a checkpoint is needed.
        Checkpoint = "checkpoint needed",
        /// A checkpoint is needed once more, though one has just been installed.
        CheckpointAgain = "checkpoint needed again",
        /// The checkpoint is installed.
        Installed = "installed",
        /// Something failed: the attempt, the copy, the stream; or the source refused.
        Failed = "failed",
        /// The state's deadline has come. In Error it is the end of the pause.
        Deadline = "deadline",
    }
}

/// The state after `input` in `state`. This is the whole table; the machine takes its states from nowhere else.
pub const fn partition_next(state: PartitionState, input: PartitionInput) -> PartitionState {
    use PartitionInput as I;
    use PartitionState as S;
    match (state, input) {
        (_, I::Restart) => S::NoConnect,

        // A pause is kept whatever the instance does: else a connection that comes and goes would take it away.
        (S::Error, I::Deadline | I::Retry) => S::NoConnect,
        (S::Error, _) => S::Error,

        // Another session than the one that this state belongs to: begin again within the new one.
        (_, I::SessionUp) => S::TryConnect,
        (_, I::SessionDown) => S::NoConnect,

        (S::NoConnect, I::Deadline) => S::TryConnect,
        (S::NoConnect, _) => S::NoConnect,

        (S::TryConnect, I::PositionRead) => S::WaitReply,
        (S::WaitReply, I::Continue) => S::Connected,
        (S::WaitReply, I::Checkpoint) => S::WaitDBSync,
        (S::WaitReply, I::CheckpointAgain) => S::Error,
        (S::WaitDBSync, I::Installed) => S::TryConnect,

        (S::TryConnect | S::WaitReply | S::WaitDBSync | S::Connected, I::Failed | I::Deadline) => S::Error,

        (S::TryConnect, _) => S::TryConnect,
        (S::WaitReply, _) => S::WaitReply,
        (S::WaitDBSync, _) => S::WaitDBSync,
        (S::Connected, _) => S::Connected,
    }
}

/// The table of the partition machine in markdown, as ARCHITECTURE.md has it.
pub fn partition_table() -> String {
    markdown(partition_next)
}
