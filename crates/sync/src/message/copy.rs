//! The messages of a copy.

use crate::copy::ChunkRef;
use crate::{PartitionId, SessionId, SnapshotId};

/// A checkpoint's manifest is wanted. Answered with a [`Manifest`](crate::copy::Manifest) or a
/// [`CopyRefusal`](crate::copy::CopyRefusal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyMetaRequest {
    /// The session.
    pub session: SessionId,
    /// Which partition.
    pub partition: PartitionId,
    /// A checkpoint that turned out to be damaged.
    pub reject: Option<SnapshotId>,
}

/// A chunk is wanted. Answered with its bytes or a [`CopyRefusal`](crate::copy::CopyRefusal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyChunkRequest {
    /// The session.
    pub session: SessionId,
    /// Which partition.
    pub partition: PartitionId,
    /// Which checkpoint.
    pub snapshot: SnapshotId,
    /// Which chunk.
    pub chunk: ChunkRef,
}

/// A checkpoint is still needed, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldCheckpoint {
    /// The session.
    pub session: SessionId,
    /// Which partition.
    pub partition: PartitionId,
    /// Which checkpoint.
    pub snapshot: SnapshotId,
    /// It is needed for longer; else it is not needed any more.
    pub renew: bool,
}
