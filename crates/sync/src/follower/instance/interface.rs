//! What goes into the machine of the connection, and what comes out.

use std::time::Duration;

use super::InstanceState;
use crate::message::{Accepted, Layout, MetaSync, Purpose, Refusal};
use crate::{AttemptId, Failure, Incarnation, NodeId, SessionId, SyncError, Transition};

/// Who follows: what goes into each handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This server.
    pub node: NodeId,
    /// This run of its process.
    pub incarnation: Incarnation,
    /// What the data is for.
    pub purpose: Purpose,
    /// Host that others should use for this server.
    pub announce_host: Option<String>,
    /// Port at which this server serves clients; 0 if it does not.
    pub announce_port: u16,
    /// What is followed.
    pub wanted: Vec<Layout>,
}

/// A session that the source has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, for all requests.
    pub id: SessionId,
    /// The source.
    pub source: NodeId,
    /// The run of the source's process.
    pub source_incarnation: Incarnation,
    /// Version of the protocol to speak.
    pub version: u32,
    /// After so much silence the source takes this server for gone.
    pub source_timeout: Duration,
}

/// What happens to an [`Instance`](super::Instance).
#[derive(Clone, Debug)]
pub enum InstanceEvent {
    /// Follow the source at this address (REPLICAOF). Also the address that is followed already: it starts anew.
    Follow(String),
    /// Follow nothing.
    Unfollow,
    /// Something was changed (a password, a certificate) or a person wants it tried now: leave Error at once.
    Retry,
    /// The connection asked for by `Dial` is made.
    Dialed {
        /// Of the `Dial`.
        attempt: AttemptId,
    },
    /// The source answered MetaSync.
    Replied {
        /// Of the `SendMetaSync`.
        attempt: AttemptId,
        /// The answer.
        reply: Result<Accepted, Refusal>,
    },
    /// The source was heard: a heartbeat was answered, or anything else.
    Heard {
        /// Of the connection.
        attempt: AttemptId,
    },
    /// The connection could not be made, broke or was closed, or the source refused a heartbeat.
    Failed {
        /// Of the connection.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// The source told a partition that it does not know this session.
    SessionLost {
        /// The session meant.
        session: SessionId,
    },
    /// The deadline has come.
    Tick,
}

/// What the driver of an [`Instance`](super::Instance) has to do.
#[derive(Clone, Debug)]
pub enum InstanceAction {
    /// Log and count it.
    Transition(Transition<InstanceState>),
    /// All attempts are used up: log at ERROR. The machine waits for a person.
    GaveUp(SyncError),
    /// Tell all partitions to start anew (`PartitionEvent::Restart`).
    RestartPartitions,
    /// Make a connection.
    Dial {
        /// For the events.
        attempt: AttemptId,
        /// Where to, as `host:port`.
        address: String,
    },
    /// Send the handshake over the connection of this attempt.
    SendMetaSync {
        /// For the events.
        attempt: AttemptId,
        /// The message.
        message: MetaSync,
    },
    /// Send a heartbeat.
    SendHeartbeat {
        /// For the events.
        attempt: AttemptId,
        /// The session to keep.
        session: SessionId,
    },
    /// Send the last heartbeat of a session: nothing is followed any more, or another source.
    SendGoodbye {
        /// Of the connection.
        attempt: AttemptId,
        /// The session.
        session: SessionId,
    },
    /// Tell all partitions of the session (`PartitionEvent::SessionUp`).
    SessionUp(Session),
    /// Tell all partitions that it is over (`PartitionEvent::SessionDown`).
    SessionDown(SessionId),
    /// Close the connection of this attempt, if there is one.
    Disconnect {
        /// Of the connection.
        attempt: AttemptId,
    },
}
