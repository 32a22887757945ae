//! What crosses the simulated network.

use std::sync::Arc;

use haypile_sync::copy::{ChunkRef, CopyRefusal, Manifest};
use haypile_sync::message::{Accepted, MetaSync, Refusal, TrySync, TrySyncReply};
use haypile_sync::source::Acks;
use haypile_sync::{AttemptId, Epoch, EpochId, Failure, SessionId, SnapshotId};

use crate::disk::Entry;

/// What crosses the network. `attempt` is the follower's number for what it belongs to, and comes back in the answer.
#[derive(Clone, Debug)]
pub enum Message {
    /// A connection is wanted.
    Dial { attempt: AttemptId },
    /// It is made.
    Dialed { attempt: AttemptId },
    /// The other end of the connection is gone.
    Reset,
    /// Handshake.
    MetaSync(MetaSync),
    /// Its answer.
    MetaSyncReply {
        attempt: AttemptId,
        reply: Result<Accepted, Refusal>,
    },
    /// "We are there."
    Heartbeat { attempt: AttemptId, session: SessionId },
    /// Its answer.
    HeartbeatReply {
        attempt: AttemptId,
        reply: Result<(), Refusal>,
    },
    /// "We follow you no more."
    Goodbye { session: SessionId },
    /// "Where do I go on?"
    TrySync(TrySync),
    /// Its answer.
    TrySyncReply { attempt: AttemptId, reply: TrySyncReply },
    /// A checkpoint is wanted.
    AskManifest {
        copy: CopyId,
        request: AttemptId,
        reject: Option<SnapshotId>,
    },
    /// Its answer.
    Manifest {
        copy: CopyId,
        request: AttemptId,
        reply: Result<Arc<Manifest>, CopyRefusal>,
    },
    /// A chunk is wanted.
    FetchChunk {
        copy: CopyId,
        fetch: AttemptId,
        snapshot: SnapshotId,
        chunk: ChunkRef,
    },
    /// Its answer.
    Chunk {
        copy: CopyId,
        fetch: AttemptId,
        reply: Result<Vec<u8>, CopyRefusal>,
    },
    /// The checkpoint is still needed.
    Renew { session: SessionId, snapshot: SnapshotId },
    /// The checkpoint is not needed any more.
    Release { session: SessionId, snapshot: SnapshotId },
    /// The stream is wanted.
    OpenStream {
        stream: StreamId,
        from: u64,
        epoch: EpochId,
    },
    /// The stream, source to follower.
    Frame { stream: StreamId, last: u64, frame: Frame },
    /// The stream, follower to source.
    Acks { stream: StreamId, acks: Acks },
    /// The stream is over, told by either side.
    Closed { stream: StreamId, failure: Failure },
}

/// Which copy: of which session, for which attempt of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyId {
    /// The session.
    pub session: SessionId,
    /// The partition's attempt.
    pub attempt: AttemptId,
}

/// Which stream: of which session, for which attempt of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// The session.
    pub session: SessionId,
    /// The partition's attempt.
    pub attempt: AttemptId,
}

/// What a source sends on a stream.
#[derive(Clone, Debug)]
pub enum Frame {
    /// An epoch begins, after another.
    Epoch { epoch: Epoch, after: EpochId },
    /// Entries from `first` on.
    Batch { first: u64, entries: Vec<Entry> },
    /// Nothing new; what was sent so far.
    Keepalive { sent: u64 },
}
