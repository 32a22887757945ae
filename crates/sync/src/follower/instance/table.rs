//! The states of the connection's machine, and the table of its transitions.

use crate::table::{markdown, named};

named! {
    /// States of the instance machine.
    InstanceState {
        /// Nothing is under way. With something to follow it is left at once, without it rests here.
        NoConnect = "NoConnect",
        /// A connection is being made.
        Connect = "Connect",
        /// Connected; MetaSync is sent, its answer awaited.
        Connecting = "Connecting",
        /// There is a session.
        Connected = "Connected",
        /// Something failed. Left by itself after a pause, unless a person is needed.
        Error = "Error",
    }
}

named! {
    /// What can happen to the instance machine, late and doubled events set aside.
    InstanceInput {
        /// Somebody wants a source followed; also the same one again.
        Follow = "follow",
        /// Somebody wants nothing followed any more.
        Unfollow = "unfollow",
        /// Somebody changed what may have been the cause of an error, or wants it tried again.
        Retry = "retry",
        /// The connection is made.
        Dialed = "dialed",
        /// The source accepted the handshake.
        Accepted = "accepted",
        /// Something failed: the attempt, the connection, the session; or the source refused.
        Failed = "failed",
        /// The state's deadline has come. In Error it is the end of the pause.
        Deadline = "deadline",
    }
}

/// The state after `input` in `state`. This is the whole table; the machine takes its states from nowhere else.
pub const fn instance_next(state: InstanceState, input: InstanceInput) -> InstanceState {
    use InstanceInput as I;
    use InstanceState as S;
    match (state, input) {
        (_, I::Follow | I::Unfollow) => S::NoConnect,

        (S::NoConnect, I::Deadline) => S::Connect,
        (S::NoConnect, I::Retry | I::Dialed | I::Accepted | I::Failed) => S::NoConnect,

        (S::Connect, I::Dialed) => S::Connecting,
        (S::Connect, I::Failed | I::Deadline) => S::Error,
        (S::Connect, I::Retry | I::Accepted) => S::Connect,

        (S::Connecting, I::Accepted) => S::Connected,
        (S::Connecting, I::Failed | I::Deadline) => S::Error,
        (S::Connecting, I::Retry | I::Dialed) => S::Connecting,

        (S::Connected, I::Failed | I::Deadline) => S::Error,
        (S::Connected, I::Retry | I::Dialed | I::Accepted) => S::Connected,

        (S::Error, I::Deadline | I::Retry) => S::NoConnect,
        (S::Error, I::Dialed | I::Accepted | I::Failed) => S::Error,
    }
}

/// The table of the instance machine in markdown, as ARCHITECTURE.md has it.
pub fn instance_table() -> String {
    markdown(instance_next)
}
