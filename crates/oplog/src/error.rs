//! What can go wrong with the log, and what its caller should do then.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What went wrong with the log: subject, verb and cause. [`OplogError::kind`] says what to do about it.
#[derive(Debug, Error)]
pub enum OplogError {
    /// A system call failed.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was being done.
        verb: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file system has no room (or less than `free_bytes_min`). The log is as it was before the call.
    #[error("no space to {verb} {}: {source}", path.display())]
    NoSpace {
        /// What was being done.
        verb: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The operating system's answer, or the limit that forbade it.
        source: io::Error,
    },
    /// The log on disk is not what was written. Nothing has been changed or skipped.
    #[error(
        "the log is damaged: {} at byte {offset}, entry {index}: {reason}. Nothing was changed. Entries from \
         {index} on cannot be trusted: check the disk, then restore this partition from a replica or a backup",
        segment.display()
    )]
    Corrupt {
        /// The damaged segment file.
        segment: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// Index of the entry that should stand there.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An fdatasync failed earlier; what the disk holds is unknown, so the log takes and promises nothing more.
    #[error("the log is poisoned and accepts nothing until a restart: {cause}")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The entry wanted has been released; start again from a checkpoint.
    #[error("entry {wanted} has been released from the log, which starts at {first}; start from a checkpoint")]
    Collected {
        /// Index asked for.
        wanted: u64,
        /// First index still in the log.
        first: u64,
    },
    /// The entry wanted is beyond the end, or what this reader has read was cut off since (truncation, reset).
    #[error("entry {wanted} is not of this log any more, which ends at {last}; find the common point again")]
    Diverged {
        /// Index asked for.
        wanted: u64,
        /// Last index of the log.
        last: u64,
    },
}

/// What the caller should do about an [`OplogError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OplogErrorKind {
    /// Refuse writes, go on reading, try again later: the log is unharmed.
    NoSpace,
    /// Stop: a person must restore the partition.
    Corrupt,
    /// Stop acknowledging until the process has been restarted.
    Poisoned,
    /// The consumer starts again: from a checkpoint, or by finding the common point.
    Collected,
    /// The operation failed and left the log as it was; it may be tried again.
    Io,
}

impl OplogError {
    /// What the caller should do.
    pub fn kind(&self) -> OplogErrorKind {
        match self {
            OplogError::Io { .. } => OplogErrorKind::Io,
            OplogError::NoSpace { .. } => OplogErrorKind::NoSpace,
            OplogError::Corrupt { .. } => OplogErrorKind::Corrupt,
            OplogError::Poisoned { .. } => OplogErrorKind::Poisoned,
            OplogError::Collected { .. } | OplogError::Diverged { .. } => OplogErrorKind::Collected,
        }
    }

    /// Wraps a failed system call; a full disk or quota becomes [`OplogError::NoSpace`].
    pub(crate) fn io(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OplogError::NoSpace { verb, path, source },
            _ => OplogError::Io { verb, path, source },
        }
    }
}
