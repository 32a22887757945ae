//! Entries of the partition's log as a group sees them, and as raft's crate wants to have them.

use bytes::Bytes;
use haypile_types::Position;
use raft::eraftpb::{self, EntryType};

use crate::members::MEMBERS_TAG;

/// An entry of the partition's log.
///
/// One without a payload is a *no-op*, with which a leader begins its term: what was logged before is committed with it (Raft,
/// 5.4.2). No command logs an entry without effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// Hybrid logical clock, microseconds; 0 for a no-op.
    pub timestamp: u64,
    /// Its effects.
    pub payload: Bytes,
}

impl Entry {
    /// True for the entry with which a leader begins its term.
    pub fn is_no_op(&self) -> bool {
        self.payload.is_empty()
    }

    /// What `entry` carries of ours: raft looks at neither payload nor timestamp, but for those of a change of members, see [`is_change`].
    pub(crate) fn from_raft(entry: eraftpb::Entry) -> Self {
        let payload = match is_change(&entry) {
            true => entry.context.slice(TIMESTAMP_BYTES.min(entry.context.len())..),
            false => entry.data,
        };
        Entry {
            position: Position::new(entry.term, entry.index),
            timestamp: timestamp_of(&entry.context),
            payload,
        }
    }

    /// The same as raft has it. Entries of one turn have one timestamp, and share its bytes: `last` is that of the entry before.
    pub(crate) fn into_raft(self, last: &mut Bytes) -> eraftpb::Entry {
        if self.payload.first() == Some(&MEMBERS_TAG) {
            return eraftpb::Entry {
                term: self.position.term,
                index: self.position.index,
                ..change_of_members(self.timestamp, &self.payload, Bytes::new())
            };
        }
        if timestamp_of(last) != self.timestamp {
            *last = timestamp_bytes(self.timestamp);
        }
        eraftpb::Entry {
            term: self.position.term,
            index: self.position.index,
            context: if self.is_no_op() { Bytes::new() } else { last.clone() },
            data: self.payload,
            ..eraftpb::Entry::default()
        }
    }
}

const TIMESTAMP_BYTES: usize = 8;

/// True for an entry that says who belongs to the group. Its data is raft's own idea of the change, which is wanted only when it is proposed;
/// what is logged stands behind the timestamp.
pub(crate) fn is_change(entry: &eraftpb::Entry) -> bool {
    entry.entry_type == EntryType::EntryConfChangeV2
}

/// Such an entry. No other has a payload with this first byte.
pub(crate) fn change_of_members(timestamp: u64, payload: &[u8], data: Bytes) -> eraftpb::Entry {
    let mut context = timestamp.to_le_bytes().to_vec();
    context.extend_from_slice(payload);
    eraftpb::Entry {
        entry_type: EntryType::EntryConfChangeV2,
        context: context.into(),
        data,
        ..eraftpb::Entry::default()
    }
}

pub(crate) fn timestamp_bytes(timestamp: u64) -> Bytes {
    Bytes::copy_from_slice(&timestamp.to_le_bytes())
}

fn timestamp_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
