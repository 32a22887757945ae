//! The messages of a stream.

use bytes::Bytes;
use haypile_types::Position;

use super::Refusal;
use crate::source::Acks;
use crate::{AttemptId, Epoch, EpochId, ErrorKind, Failure, PartitionId, SessionId};

/// How entries are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Zstandard, each batch by itself.
    Zstd,
}

/// The follower's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The session.
    pub session: SessionId,
    /// The partition's attempt.
    pub attempt: AttemptId,
    /// Which partition.
    pub partition: PartitionId,
    /// Index of the first entry.
    pub from: u64,
    /// The epoch that the follower's history ends with.
    pub epoch: EpochId,
    /// How batches may be compressed.
    pub compression: Compression,
}

/// What a follower sends on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerFrame {
    /// The first frame, and only that.
    Open(Open),
    /// All others.
    Acks(Acks),
}

/// What a source sends on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFrame {
    /// Where the source is.
    pub end: SourceEnd,
    /// Somebody waits for an acknowledgement.
    pub ack_wanted: bool,
    /// What it brings.
    pub body: FrameBody,
}

/// Where a source is as it sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceEnd {
    /// Index of its log's last entry.
    pub last: u64,
    /// Bytes of its log that it has not sent on this stream.
    pub unsent_bytes: u64,
    /// Its clock, in milliseconds.
    pub clock_ms: u64,
}

/// What a source's frame brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameBody {
    /// An epoch begins.
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// The one before it.
        after: EpochId,
    },
    /// A piece of `entries` of the batch that follows, which is too long for one message. All pieces come first, in order.
    Part(Bytes),
    /// Entries.
    Batch(Batch),
    /// Nothing new.
    Keepalive {
        /// Index of the last entry sent so far.
        sent: u64,
    },
    /// Messages of pub/sub, in order.
    Published(Vec<Message>),
    /// The stream is over.
    Closed(Closed),
}

/// A message of pub/sub on its way from a source to its followers' subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// To be delivered once this entry is visible, and before the next one if that has not come yet.
    pub after: u64,
    /// By SPUBLISH.
    pub sharded: bool,
    /// The channel.
    pub channel: Bytes,
    /// What was published.
    pub payload: Bytes,
    /// Published within a transaction, which is that entry: among its keyspace events, after those in so many bytes of
    /// its payload. `None`: after all of them.
    pub within: Option<u64>,
}

/// Entries, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The first.
    pub first: Position,
    /// The last.
    pub last: Position,
    /// How `entries` is compressed.
    pub compression: Compression,
    /// Length of all entries when they are not compressed, with those in parts that came before.
    pub entries_bytes: u64,
    /// The entries, or the end of them if parts came before. Each: term (8 bytes), index (8), timestamp (8), length of the payload (4), all little-endian, payload.
    pub entries: Bytes,
}

/// Why a source ends a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The follower was too slow, and the log that it needs has been collected.
    LogCollected {
        /// Index that it needs.
        wanted: u64,
        /// Index of the first entry that there is.
        first: u64,
    },
    /// The stream was not opened, or the session is over.
    Refused(Refusal),
    /// The follower does not fit the log any more.
    OutOfOrder(String),
}

impl From<Closed> for Failure {
    fn from(closed: Closed) -> Failure {
        match closed {
            Closed::LogCollected { wanted, first } => Failure::new(
                ErrorKind::LogCollected,
                format!("{wanted} is needed, the source has {first} and later"),
            ),
            Closed::Refused(refusal) => refusal.into(),
            Closed::OutOfOrder(cause) => Failure::new(ErrorKind::OutOfOrder, cause),
        }
    }
}
