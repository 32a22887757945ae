//! What can go wrong between a follower and its source, by what is to be done about it.

use std::fmt;
use std::time::Duration;

/// What to do about an error: each class has its own pauses between attempts ([`Settings`](crate::Settings)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passes by itself, mostly soon: try again.
    Retryable,
    /// Lasts for a while, or trying costs much: try again later.
    RetryLater,
    /// Nothing will change until somebody changes something (a password, a version, the tables). It is tried again
    /// all the same, seldom, because that somebody may be at the other side.
    FatalUntilChanged,
}

/// Why a source that could serve does not do so now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotReady {
    /// It is making a checkpoint, or has as many as it may: ask again.
    Busy,
    /// It is loading, or is itself installing a checkpoint.
    Loading,
    /// It is itself a follower, and has not got as far as we have. It cannot say whether our last entries are lost.
    Behind,
    /// It follows us itself: neither would ever get anything from the other.
    Circle,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// No connection could be made: refused, unreachable, a name without an address.
    #[error("cannot connect")]
    ConnectFailed,
    /// The connection, or a stream within it, was closed or broke.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// Nothing happened in time in the named state.
    #[error("timeout in state {0}")]
    Timeout(&'static str),
    /// Wrong user or password, or a certificate that is not accepted.
    #[error("authentication failed")]
    AuthFailed,
    /// The two have no version of the protocol in common.
    #[error("no common version of the protocol")]
    ProtocolVersion,
    /// The source does not have the tables and partitions that are wanted, or has them cut otherwise.
    #[error("the tables differ")]
    LayoutMismatch,
    /// The address leads back to this server.
    #[error("a server cannot follow itself")]
    FollowsItself,
    /// Another server with this server's id follows the same source.
    #[error("another server with the same id follows this source")]
    IdInUse,
    /// The source does not know the session: it was restarted, or the session was replaced.
    #[error("the session is unknown to the source")]
    SessionLost,
    /// The source could serve, but not now.
    #[error("the source is not ready ({0:?})")]
    PeerNotReady(NotReady),
    /// The checkpoint that was being copied does not exist any more.
    #[error("the checkpoint is gone")]
    CheckpointGone,
    /// The source refused, for a reason that has no kind of its own.
    #[error("the source refused")]
    Refused,
    /// Data that is not what its digest or checksum says; the name of the file, or of what was read.
    #[error("{0} is corrupt")]
    Corrupt(String),
    /// The disk has not got the room.
    #[error("no space left")]
    NoSpace,
    /// The disk or another local resource failed.
    #[error("input or output failed")]
    Io,
    /// The source has collected the log that is needed.
    #[error("the log has been collected")]
    LogCollected,
    /// This server has failed at an entry, or in another way that lets it take no more of them.
    #[error("no more entries are taken")]
    Poisoned,
    /// The stream skipped an entry, or announced an epoch at a wrong place.
    #[error("the stream is out of order")]
    OutOfOrder,
    /// A message that the protocol does not allow.
    #[error("the peer broke the protocol")]
    Protocol,
    /// A fault in this program.
    #[error("internal error")]
    Internal,
}

impl ErrorKind {
    /// What to do about it.
    pub fn class(&self) -> Class {
        use ErrorKind::*;
        match self {
            ConnectFailed | PeerClosed | Timeout(_) | SessionLost | PeerNotReady(_) | CheckpointGone | LogCollected
            | OutOfOrder => Class::Retryable,
            Refused | IdInUse | Corrupt(_) | NoSpace | Io | Poisoned | Protocol | Internal => Class::RetryLater,
            AuthFailed | ProtocolVersion | LayoutMismatch | FollowsItself => Class::FatalUntilChanged,
        }
    }

    /// The kind's name, for metrics and INFO.
    pub fn name(&self) -> &'static str {
        use ErrorKind::*;
        match self {
            ConnectFailed => "connect-failed",
            PeerClosed => "peer-closed",
            Timeout(_) => "timeout",
            AuthFailed => "auth-failed",
            ProtocolVersion => "protocol-version",
            LayoutMismatch => "layout-mismatch",
            FollowsItself => "follows-itself",
            IdInUse => "id-in-use",
            SessionLost => "session-lost",
            PeerNotReady(NotReady::Busy) => "peer-busy",
            PeerNotReady(NotReady::Loading) => "peer-loading",
            PeerNotReady(NotReady::Behind) => "peer-behind",
            PeerNotReady(NotReady::Circle) => "peer-follows-us",
            CheckpointGone => "checkpoint-gone",
            Refused => "refused",
            Corrupt(_) => "corrupt",
            NoSpace => "no-space",
            Io => "io",
            LogCollected => "log-collected",
            Poisoned => "poisoned",
            OutOfOrder => "out-of-order",
            Protocol => "protocol",
            Internal => "internal",
        }
    }
}

/// Something that failed, as the driver or the peer reports it to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The details, for people.
    pub cause: String,
}

impl Failure {
    /// A failure with its details.
    pub fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Failure {
            kind,
            cause: cause.into(),
        }
    }

    /// Nothing happened in the named state for `span`.
    pub(crate) fn timeout(state: &'static str, span: Duration) -> Self {
        Failure::new(
            ErrorKind::Timeout(state),
            format!("nothing for {} ms", span.as_millis()),
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.cause.is_empty() {
            write!(f, ": {}", self.cause)?;
        }
        Ok(())
    }
}

/// What a machine in its error state has to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {kind}{} (attempt {attempts})", if .cause.is_empty() { String::new() } else { format!(": {cause}") })]
pub struct SyncError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The other side, as `host:port`.
    pub peer: String,
    /// Attempts that failed in a row, this one included: at least 1.
    pub attempts: u32,
    /// The details, for people.
    pub cause: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_peer_kind_cause_and_attempt() {
        let error = SyncError {
            kind: ErrorKind::Corrupt("000012.sst".into()),
            peer: "10.0.0.1:6379".into(),
            attempts: 3,
            cause: "chunk 7".into(),
        };
        assert_eq!(
            error.to_string(),
            "10.0.0.1:6379: 000012.sst is corrupt: chunk 7 (attempt 3)"
        );
    }
}
