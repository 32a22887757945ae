//! Why something was not proposed, and why a group cannot be made or cannot go on.

use crate::members::MembersError;
use crate::message::ReplicaNumber;
use crate::settings::SettingsError;

/// This replica does not lead, or not any more: nothing was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica is not the leader of its group")]
pub struct NotLeader;

/// Why a change of members was not proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeMembersError {
    /// This replica does not lead.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// It cannot be so.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// The leader would not belong to the group's voters any more.
    #[error("member {0} leads the group: it must hand over before it leaves")]
    Leads(ReplicaNumber),
}

/// Why a group cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// Its settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was read from the disk does not fit together.
    #[error("the replica cannot start: {0}")]
    Start(String),
}

/// Why entries cannot be read from the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log begins later by now.
    #[error("the log begins after the entry {0}")]
    Collected(u64),
    /// The disk. It is asked again later.
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
}
