//! What the two sides say to each other, apart from its encoding (see [`wire`](crate::wire)).

mod copy;
mod stream;

pub use copy::{CopyChunkRequest, CopyMetaRequest, HoldCheckpoint};
pub use stream::{Batch, Closed, Compression, FollowerFrame, FrameBody, Message, Open, SourceEnd, SourceFrame};

use std::fmt;
use std::time::Duration;

use haypile_types::Position;

use crate::{AttemptId, EpochHistory, ErrorKind, Failure, Incarnation, NodeId, NotReady, PartitionId, SessionId};

/// Oldest version of the protocol that this program speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Newest version of the protocol that this program speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// What a follower wants the data for. A node may follow the same source for several purposes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A replica that may be promoted, and that WAIT counts.
    Replica,
    /// A future member of a replica group, which does not count yet.
    Learner,
    /// A table in another cluster.
    Duplication,
    /// A copy that is taken once.
    Restore,
}

/// A partition as one side has it. Both must agree, or the data would land in wrong places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub partition: PartitionId,
    /// First slot.
    pub slot_first: u16,
    /// Last slot, included.
    pub slot_last: u16,
    /// Version of the encoding of keys and values in the store.
    pub format: u32,
}

/// Handshake, follower to source. Sending it again is always right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaSync {
    /// Oldest version of the protocol that the follower speaks.
    pub version_min: u32,
    /// Newest version of the protocol that the follower speaks.
    pub version_max: u32,
    /// Who asks.
    pub node: NodeId,
    /// In which run of its process.
    pub incarnation: Incarnation,
    /// Which handshake of that run: grows with each.
    pub attempt: AttemptId,
    /// What for.
    pub purpose: Purpose,
    /// Host that others should use for the follower, instead of the one its connection comes from.
    pub announce_host: Option<String>,
    /// Port at which the follower serves clients; 0 if it does not.
    pub announce_port: u16,
    /// What the follower wants to follow.
    pub wanted: Vec<Layout>,
    /// How long the source may be silent before the follower takes it for dead.
    pub silence_timeout: Duration,
}

/// The source's answer to a handshake that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The source.
    pub node: NodeId,
    /// In which run of its process.
    pub incarnation: Incarnation,
    /// The session; each later request carries it.
    pub session: SessionId,
    /// Version of the protocol to speak.
    pub version: u32,
    /// All partitions that the source has.
    pub partitions: Vec<Layout>,
    /// The source forgets a session from which it has heard nothing for this long.
    pub session_timeout: Duration,
}

/// The source's reasons not to do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No common version; what the source speaks.
    ProtocolVersion {
        /// Oldest version of the source.
        min: u32,
        /// Newest version of the source.
        max: u32,
    },
    /// User or password are wrong, or may not do this.
    Unauthorized(String),
    /// The source has not got what is wanted, or has it cut otherwise.
    LayoutMismatch(String),
    /// The follower is the source.
    FollowsItself,
    /// A newer handshake of the same follower has been seen: this is a late duplicate.
    Stale,
    /// The session is not known (any more).
    UnknownSession,
    /// Another server that uses the same id is connected: from where.
    IdInUse(String),
    /// Not now.
    NotReady(NotReady),
    /// The request contradicts itself.
    Invalid(String),
    /// Something in the source failed.
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::ProtocolVersion { min, max } => Failure::new(
                ErrorKind::ProtocolVersion,
                format!("the source speaks {min} to {max}, we speak {PROTOCOL_MIN} to {PROTOCOL_MAX}"),
            ),
            Refusal::Unauthorized(cause) => Failure::new(ErrorKind::AuthFailed, cause),
            Refusal::LayoutMismatch(cause) => Failure::new(ErrorKind::LayoutMismatch, cause),
            Refusal::FollowsItself => Failure::new(ErrorKind::FollowsItself, ""),
            Refusal::Stale => Failure::new(ErrorKind::SessionLost, "the source has seen a newer handshake of ours"),
            Refusal::IdInUse(from) => Failure::new(
                ErrorKind::IdInUse,
                format!(
                    "it is connected from {from}; if this server's directory is a copy of that one's, stop this server and remove \
                     the file node-id from its directory"
                ),
            ),
            Refusal::UnknownSession => Failure::new(ErrorKind::SessionLost, ""),
            Refusal::NotReady(NotReady::Circle) => Failure::new(
                ErrorKind::PeerNotReady(NotReady::Circle),
                "it follows this server itself: one of the two must be told REPLICAOF NO ONE",
            ),
            Refusal::NotReady(why) => Failure::new(ErrorKind::PeerNotReady(why), ""),
            Refusal::Invalid(cause) => Failure::new(ErrorKind::Refused, cause),
            Refusal::Internal(cause) => Failure::new(ErrorKind::Refused, format!("the source failed: {cause}")),
        }
    }
}

/// Where a follower's partition is: what it tells the source to find the place to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalPosition {
    /// The log's last entry.
    pub end: Position,
    /// Index up to which the log is durable; not above `end`.
    pub durable: u64,
    /// Index up to which the entries are visible to readers; not above `end`.
    pub applied: u64,
    /// Who wrote the log.
    pub history: EpochHistory,
    /// The follower takes no more entries, because its log, its store or the program has failed: it needs a checkpoint, wherever it
    /// is.
    pub poisoned: bool,
}

/// "Where do I go on?", follower to source, per partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrySync {
    /// The session.
    pub session: SessionId,
    /// Which attempt of this partition; the answer is matched by it.
    pub attempt: AttemptId,
    /// Which partition.
    pub partition: PartitionId,
    /// Where the follower is.
    pub position: LocalPosition,
}

/// The source's answer to [`TrySync`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrySyncReply {
    /// The follower's log is a beginning of the source's.
    Continue {
        /// Index of the first entry to send.
        from: u64,
        /// The source's history up to there. It replaces the follower's before the stream starts.
        history: EpochHistory,
    },
    /// The log cannot lead the follower to where the source is.
    Checkpoint(CheckpointReason),
    /// Neither.
    Refused(Refusal),
}

/// Why a follower needs a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointReason {
    /// The follower has nothing yet.
    Empty,
    /// The two share no epoch.
    ForeignHistory,
    /// The source's log starts later.
    LogCollected {
        /// Index that the follower would need.
        wanted: u64,
        /// Index of the first entry that the source still has.
        first: u64,
    },
    /// The follower has entries that the source has not, and that nobody else should have.
    Diverged {
        /// Last position that both have.
        common: Position,
        /// First entry that will be lost.
        lost_first: Position,
        /// Last entry that will be lost.
        lost_last: Position,
    },
    /// The follower takes no more entries.
    Poisoned,
}

impl fmt::Display for CheckpointReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointReason::Empty => f.write_str("there is no data yet"),
            CheckpointReason::ForeignHistory => f.write_str("the histories have nothing in common"),
            CheckpointReason::LogCollected { wanted, first } => {
                write!(f, "the source's log starts at {first}, and {wanted} is needed")
            }
            CheckpointReason::Diverged {
                common,
                lost_first,
                lost_last,
            } => write!(
                f,
                "the entries {lost_first} to {lost_last} are not the source's, which has {common} in common"
            ),
            CheckpointReason::Poisoned => f.write_str("the replica takes no more entries"),
        }
    }
}
