//! How a message travels: protocol buffers of our own schema, here as Rust has them.
//!
//! Numbers are never given to something else. A kind that this version does not know, or none, is an error. Entries stand one
//! behind the other, the first behind the message's index, so that none of them need say its own.

use bytes::Bytes;
use haypile_types::Position;
use prost::Message as _;
use raft::eraftpb::{self, MessageType};

use crate::entry::Entry;
use crate::message::Message;

#[derive(Clone, PartialEq, prost::Message)]
struct WireMessage {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    from: u64,
    #[prost(uint64, tag = "3")]
    to: u64,
    #[prost(uint64, tag = "4")]
    term: u64,
    #[prost(uint64, tag = "5")]
    log_term: u64,
    #[prost(uint64, tag = "6")]
    index: u64,
    #[prost(message, repeated, tag = "7")]
    entries: Vec<WireEntry>,
    #[prost(uint64, tag = "8")]
    commit: u64,
    #[prost(uint64, tag = "9")]
    commit_term: u64,
    #[prost(bool, tag = "10")]
    reject: bool,
    #[prost(uint64, tag = "11")]
    reject_hint: u64,
    #[prost(uint64, tag = "12")]
    request_snapshot: u64,
    #[prost(bytes = "bytes", tag = "13")]
    context: Bytes,
    #[prost(uint64, tag = "14")]
    round_us: u64,
    #[prost(bool, tag = "15")]
    behind: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEntry {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    timestamp: u64,
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
}

/// The kinds of messages that travel, with their numbers. Snapshots do not: who is behind the log copies a checkpoint.
const KINDS: [(u32, MessageType); 10] = [
    (1, MessageType::MsgAppend),
    (2, MessageType::MsgAppendResponse),
    (3, MessageType::MsgRequestVote),
    (4, MessageType::MsgRequestVoteResponse),
    (5, MessageType::MsgHeartbeat),
    (6, MessageType::MsgHeartbeatResponse),
    (7, MessageType::MsgRequestPreVote),
    (8, MessageType::MsgRequestPreVoteResponse),
    (9, MessageType::MsgTransferLeader),
    (10, MessageType::MsgTimeoutNow),
];

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No protocol buffers of this schema.
    #[error("a message of a replica group cannot be read: {0}")]
    Unreadable(String),
    /// A kind that this version does not know.
    #[error("a message of a replica group has a kind that is not known: {0}")]
    Kind(u32),
}

impl Message {
    /// The message as it travels; `None` of a kind that does not.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let raft = &self.raft;
        let (kind, _) = KINDS.iter().find(|(_, kind)| *kind == raft.msg_type)?;
        let entries = raft.entries.iter().cloned().map(Entry::from_raft);
        let wire = WireMessage {
            kind: *kind,
            from: raft.from,
            to: raft.to,
            term: raft.term,
            log_term: raft.log_term,
            index: raft.index,
            entries: entries
                .map(|entry| WireEntry {
                    term: entry.position.term,
                    timestamp: entry.timestamp,
                    payload: entry.payload,
                })
                .collect(),
            commit: raft.commit,
            commit_term: raft.commit_term,
            reject: raft.reject,
            reject_hint: raft.reject_hint,
            request_snapshot: raft.request_snapshot,
            context: raft.context.clone(),
            round_us: self.round_us,
            behind: self.behind,
        };
        Some(wire.encode_to_vec())
    }

    /// A message as it has travelled. Payloads share its bytes.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(bytes: Bytes) -> Result<Message, WireError> {
        let wire = WireMessage::decode(bytes).map_err(|error| WireError::Unreadable(error.to_string()))?;
        let kind = KINDS.iter().find(|(number, _)| *number == wire.kind);
        let (_, msg_type) = *kind.ok_or(WireError::Kind(wire.kind))?;
        let mut timestamp = Bytes::new();
        let mut index = wire.index;
        let entries = wire.entries.into_iter().map(|entry| {
            index = index.wrapping_add(1);
            let entry = Entry {
                position: Position::new(entry.term, index),
                timestamp: entry.timestamp,
                payload: entry.payload,
            };
            entry.into_raft(&mut timestamp)
        });
        let entries: Vec<_> = entries.collect();
        let raft = eraftpb::Message {
            msg_type,
            from: wire.from,
            to: wire.to,
            term: wire.term,
            log_term: wire.log_term,
            index: wire.index,
            entries: entries.into(),
            commit: wire.commit,
            commit_term: wire.commit_term,
            reject: wire.reject,
            reject_hint: wire.reject_hint,
            request_snapshot: wire.request_snapshot,
            context: wire.context,
            ..eraftpb::Message::default()
        };
        Ok(Message {
            raft,
            round_us: wire.round_us,
            behind: wire.behind,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = Message> {
        let numbers = vec(any::<u64>().prop_map(|n| n >> (n % 64)), 9);
        let entries = vec((1..9u64, any::<u64>(), vec(any::<u8>(), 0..20)), 0..5);
        let rest = (
            0..KINDS.len(),
            any::<bool>(),
            vec(any::<u8>(), 0..9),
            any::<(u64, bool)>(),
        );
        (numbers, entries, rest).prop_map(|(n, entries, (kind, reject, context, (round_us, behind)))| {
            let index = n[3] >> 1;
            let mut timestamp = Bytes::new();
            let entries = entries
                .into_iter()
                .zip(index + 1..)
                .map(|((term, timestamp, payload), index)| Entry {
                    position: Position::new(term, index),
                    timestamp: if payload.is_empty() { 0 } else { timestamp },
                    payload: payload.into(),
                });
            let entries: Vec<_> = entries.map(|entry| entry.into_raft(&mut timestamp)).collect();
            let raft = eraftpb::Message {
                msg_type: KINDS[kind].1,
                from: n[0],
                to: n[1],
                term: n[2],
                index,
                log_term: n[4],
                entries: entries.into(),
                commit: n[5],
                commit_term: n[6],
                reject,
                reject_hint: n[7],
                request_snapshot: n[8],
                context: context.into(),
                ..eraftpb::Message::default()
            };
            Message { raft, round_us, behind }
        })
    }

    proptest! {
        #[test]
        fn a_message_survives_the_way(message in messages()) {
            let bytes = message.encode().unwrap();
            prop_assert_eq!(Message::decode(bytes.into()), Ok(message));
        }

        #[test]
        fn no_bytes_are_a_surprise(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(bytes.into());
        }
    }

    #[test]
    fn a_kind_that_nobody_knows_is_an_error() {
        assert_eq!(Message::decode(Bytes::new()), Err(WireError::Kind(0)));
        assert_eq!(Message::decode(Bytes::from_static(&[8, 77])), Err(WireError::Kind(77)));
    }
}
