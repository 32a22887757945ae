//! Why a partition cannot be opened, and why what a task did does not count.

use std::path::PathBuf;

use haypile_oplog::{OplogError, OplogErrorKind};
use haypile_store::{ErrorKind, StoreError};
use haypile_types::Position;

/// Why a partition cannot be opened or maintained.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The log.
    #[error(transparent)]
    Oplog(#[from] OplogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or directory.
    #[error("cannot {verb} {path}: {source}")]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// Entries that the store needs are not in the log any more.
    #[error(
        "the log starts at entry {first}, but the store has been saved only up to {applied}: entries are missing; \
         restore the directory from a replica or a backup"
    )]
    Gap {
        /// First index in the log.
        first: u64,
        /// What the store has.
        applied: Position,
    },
    /// Only a follower takes another's history; only a leader begins an epoch.
    #[error("the partition has another role than this needs")]
    OtherRole,
    /// A history that belongs to another log than the one that is there.
    #[error("the log ends with {last}, and the history is for one that ends with entry {end}")]
    OtherLog {
        /// Where the log ends.
        last: Position,
        /// Where it was to end.
        end: u64,
    },
    /// What is on disk of a replica of a group does not fit together.
    #[error("{0}")]
    Group(String),
    /// `partition.toml` is not what this program writes.
    #[error("{path}: {reason}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl PartitionError {
    /// True if what is there is not what this program has written, or not all of it: it would be so the next time as well.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            PartitionError::Oplog(error) => error.kind() == OplogErrorKind::Corrupt,
            PartitionError::Store(error) => error.kind() == ErrorKind::Corrupt,
            PartitionError::Gap { .. } => true,
            _ => false,
        }
    }
}

/// Why what a task did does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Nothing of it was logged: the disk is full. It may be tried again when there is room.
    #[error("MISCONF the disk is full, so the write was not accepted: {0}")]
    NoSpace(String),
    /// Nothing of it was logged.
    #[error("ERR the write could not be logged: {0}")]
    NotLogged(String),
    /// Whether it survives a crash is unknown, and the partition takes no more writes.
    #[error("MISCONF the disk has failed: writes are refused until a restart, and this one may be lost: {0}")]
    Poisoned(String),
    /// A defect of the program: something panicked, and the partition takes no more writes. What was published can be
    /// read. Nothing of the turn was logged, unless logging or publishing it is what panicked.
    #[error(
        "MISCONF a defect in the server has stopped a command half-way: writes are refused until a restart; see the \
         server's log, and please report it: {0}"
    )]
    Panicked(String),
    /// Nothing of it will ever be: this replica leads its group no more, and another leader has decided otherwise.
    #[error("TRYAGAIN the leader of this key's partition has changed, and nothing has been done: send it again")]
    NotLeader,
    /// It was logged, and no quorum has answered in time: the group may or may not have it.
    #[error(
        "INDOUBT whether this has been done is not known: it was logged, and too few replicas have answered; read before you \
         send it again"
    )]
    InDoubt,
}

impl CommitError {
    pub(crate) fn from_log(error: &OplogError) -> Self {
        match error.kind() {
            OplogErrorKind::NoSpace => CommitError::NoSpace(error.to_string()),
            OplogErrorKind::Poisoned => CommitError::Poisoned(error.to_string()),
            _ => CommitError::NotLogged(error.to_string()),
        }
    }
}
