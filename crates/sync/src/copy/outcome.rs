//! Why a source does not hand out a manifest or a chunk.

use crate::{ErrorKind, Failure, NotReady};

/// Why a source does not hand out a manifest or a chunk: typed by what the follower should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyRefusal {
    /// The checkpoint is being made: ask again.
    Busy,
    /// There is no such checkpoint (any more): ask for a new one.
    Gone,
    /// The session is not known: connect again.
    UnknownSession,
    /// The source's own copy is damaged: this file of the checkpoint, or reading it failed. Ask for a new one.
    Corrupt(String),
    /// The source has no room for a checkpoint: try later.
    NoSpace(String),
    /// Another reason.
    Refused(String),
}

impl From<CopyRefusal> for Failure {
    fn from(refusal: CopyRefusal) -> Failure {
        match refusal {
            CopyRefusal::Busy => Failure::new(ErrorKind::PeerNotReady(NotReady::Busy), ""),
            CopyRefusal::Gone => Failure::new(ErrorKind::CheckpointGone, ""),
            CopyRefusal::UnknownSession => Failure::new(ErrorKind::SessionLost, ""),
            CopyRefusal::Corrupt(file) => Failure::new(ErrorKind::Corrupt(file), "on the source's disk"),
            CopyRefusal::NoSpace(cause) => Failure::new(ErrorKind::NoSpace, format!("at the source: {cause}")),
            CopyRefusal::Refused(cause) => Failure::new(ErrorKind::Refused, cause),
        }
    }
}
