//! What the replicas of a group say to each other.

use std::fmt;

use bytes::Bytes;
use raft::eraftpb::{self, MessageType};

/// The number of a replica within its group. A replica that is removed and comes back has another one.
pub type ReplicaNumber = u64;

/// Which campaign it is that needs no promise to end: the leader itself has asked for it.
const TRANSFER: &[u8] = b"CampaignTransfer";

/// What one replica of a group says to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub(crate) raft: eraftpb::Message,
    /// From a leader: when it was made, by the leader's clock. In an answer: the latest that the follower has heard, for which it
    /// has made its promise; 0 if there is none in this term.
    pub(crate) round_us: u64,
    /// A leader's word that its log begins after what this follower has: only a copy of a checkpoint can help.
    pub(crate) behind: bool,
}

impl Message {
    /// Who says it.
    pub fn from(&self) -> ReplicaNumber {
        self.raft.from
    }

    /// To whom.
    pub fn to(&self) -> ReplicaNumber {
        self.raft.to
    }

    /// The term in which it is said; of a question before an election, the one that would come.
    pub fn term(&self) -> u64 {
        self.raft.term
    }

    /// Bytes of the entries in it.
    pub fn entry_bytes(&self) -> usize {
        self.raft.entries.iter().map(|entry| entry.data.len()).sum()
    }

    /// Up to where a follower that answers a heartbeat has what is committed, on its disk; `None` of other messages.
    pub(crate) fn committed_on_disk(&self) -> Option<u64> {
        (self.kind() == MessageType::MsgHeartbeatResponse).then_some(self.raft.commit)
    }

    pub(crate) fn kind(&self) -> MessageType {
        self.raft.msg_type
    }

    /// True for what a leader says to its followers.
    pub(crate) fn is_leaders(&self) -> bool {
        matches!(
            self.kind(),
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot
        )
    }

    /// True for a leader's word that entries are committed which this log, that ends with `last`, does not have. A leader says in a heartbeat
    /// no more than what its follower has acknowledged.
    pub(crate) fn commits_beyond(&self, last: u64) -> bool {
        self.kind() == MessageType::MsgHeartbeat && self.raft.commit > last
    }

    /// True for entries from a leader, or the question whether some would follow.
    pub(crate) fn takes_entries(&self) -> bool {
        self.kind() == MessageType::MsgAppend
    }

    /// True for the answer to what a leader says.
    pub(crate) fn is_followers(&self) -> bool {
        matches!(
            self.kind(),
            MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse
        )
    }

    /// True for a question for a vote.
    pub(crate) fn asks_for_vote(&self) -> bool {
        matches!(
            self.kind(),
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
        )
    }

    /// Index of the last entry that a candidate has.
    pub(crate) fn log_end(&self) -> u64 {
        self.raft.index
    }

    /// True for the answer that somebody may campaign.
    pub(crate) fn grants_pre_vote(&self) -> bool {
        self.kind() == MessageType::MsgRequestPreVoteResponse && !self.raft.reject
    }

    /// True if the leader has handed its office over: whoever asks need not wait for what was promised to that leader.
    pub(crate) fn is_transfer(&self) -> bool {
        self.raft.context == TRANSFER
    }

    /// Has raft look at the question on its merits: whether a promise stands against it has been decided.
    pub(crate) fn without_rafts_lease(mut self) -> eraftpb::Message {
        self.raft.context = Bytes::from_static(TRANSFER);
        self.raft
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raft = &self.raft;
        let reject = if raft.reject { " no" } else { "" };
        let behind = if self.behind { " behind" } else { "" };
        write!(
            f,
            "{}→{} {:?} term {} at {}:{} +{} commit {}{reject}{behind}",
            raft.from,
            raft.to,
            raft.msg_type,
            raft.term,
            raft.log_term,
            raft.index,
            raft.entries.len(),
            raft.commit
        )
    }
}
