//! What the store says of itself: one record under the key `"state"` of the `default` column family.
//!
//! It is written with every batch, and all column families are flushed together (`atomic_flush`), so whatever is on
//! disk is exactly the state after the entry at `applied`, and replay starts at the next one.
//!
//! ```text
//! format u8 = 3 | term u64 LE | index u64 LE | clock u64 LE | next keyspace u32 LE
//! | first slot u16 LE | last slot u16 LE | floor of ids u64 LE
//! | databases u16 LE, then for each its keyspace u32 LE
//! | length u32 LE, and what the effect "members" said last; neither if there was none
//! ```
//!
//! The counters of keys are records of their own, see `counts.rs`. Format 1 had them here, and elements under their user
//! keys; it is not read any more.

use std::ops::RangeInclusive;
use std::sync::Arc;

use haypile_types::{Position, SLOTS};

use crate::{SpaceId, StoreError};

pub(crate) const STATE_KEY: &[u8] = b"state";
const FORMAT: u8 = 3;

/// Where the store stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreState {
    /// The last entry that has been applied.
    pub applied: Position,
    /// That entry's hybrid-logical-clock timestamp.
    pub clock: u64,
    /// The id that the next new keyspace gets.
    pub next_space: SpaceId,
    /// The keyspace of each database.
    pub dbs: Vec<SpaceId>,
    /// The slots whose keys are here: all of them, until partitions are split.
    pub slots: Slots,
    /// Ids of collections that are made from now on are this and what the log's index makes of them: a partition that has
    /// elements from elsewhere sets it above the ids of those. It never falls.
    pub id_floor: u64,
    /// Who belongs to the replica group, in bytes that the group understands; `None` if no entry has said so.
    pub members: Option<Arc<[u8]>>,
}

/// A range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The first one.
    pub first: u16,
    /// The last one, which is in the range.
    pub last: u16,
}

impl Slots {
    /// All slots that there are.
    pub const ALL: Slots = Slots {
        first: 0,
        last: SLOTS - 1,
    };

    /// The slots.
    pub fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl Default for Slots {
    fn default() -> Self {
        Slots::ALL
    }
}

/// The first keyspace that no database begins with: database n begins with keyspace n.
const NEW_SPACES_FROM: SpaceId = 256;

impl StoreState {
    /// An empty store with `databases` databases.
    pub fn new(databases: u16) -> Self {
        let mut state = StoreState {
            next_space: NEW_SPACES_FROM,
            ..StoreState::default()
        };
        state.add_databases(databases);
        state
    }

    /// Gives the store as many databases, if it has fewer. No entry of the log says so: the new ones have the same
    /// keyspaces wherever and whenever that is done, on a replica that is behind and before a replay too.
    pub(crate) fn add_databases(&mut self, databases: u16) {
        for db in self.dbs.len()..usize::from(databases) {
            let space = db as SpaceId;
            let is_free = self.next_space >= NEW_SPACES_FROM && space < NEW_SPACES_FROM;
            self.dbs.push(if is_free { space } else { self.next_space });
            if !is_free {
                self.next_space += 1;
            }
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.applied.term.to_le_bytes());
        out.extend_from_slice(&self.applied.index.to_le_bytes());
        out.extend_from_slice(&self.clock.to_le_bytes());
        out.extend_from_slice(&self.next_space.to_le_bytes());
        out.extend_from_slice(&self.slots.first.to_le_bytes());
        out.extend_from_slice(&self.slots.last.to_le_bytes());
        out.extend_from_slice(&self.id_floor.to_le_bytes());
        out.extend_from_slice(&(self.dbs.len() as u16).to_le_bytes());
        for space in &self.dbs {
            out.extend_from_slice(&space.to_le_bytes());
        }
        if let Some(members) = &self.members {
            out.extend_from_slice(&(members.len() as u32).to_le_bytes());
            out.extend_from_slice(members);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            FORMAT => {}
            other => {
                return Err(StoreError::Format {
                    found: other,
                    read: FORMAT,
                });
            }
        }
        let applied = Position::new(reader.u64()?, reader.u64()?);
        let clock = reader.u64()?;
        let next_space = reader.u32()?;
        let (first, last) = (reader.u16()?, reader.u16()?);
        if first > last || last >= SLOTS {
            return Err(StoreError::Corrupt(format!("{first} to {last} is no range of slots")));
        }
        let id_floor = reader.u64()?;
        let databases = reader.u16()?;
        let dbs = (0..databases).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let members = match reader.0.is_empty() {
            true => None,
            false => {
                let length = reader.u32()? as usize;
                let (bytes, rest) = reader.0.split_at_checked(length).ok_or_else(cut_short)?;
                reader.0 = rest;
                Some(bytes.into())
            }
        };
        if !reader.0.is_empty() {
            return Err(StoreError::Corrupt("the state record goes on behind its end".into()));
        }
        Ok(StoreState {
            applied,
            clock,
            next_space,
            dbs,
            slots: Slots { first, last },
            id_floor,
            members,
        })
    }
}

fn cut_short() -> StoreError {
    StoreError::Corrupt("state record cut short".into())
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(cut_short)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, StoreError> {
        Ok(self.take::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, StoreError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, StoreError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoreState {
        StoreState {
            applied: Position::new(2, 300),
            clock: 77,
            next_space: 5,
            dbs: vec![4, 1],
            slots: Slots { first: 3, last: 700 },
            id_floor: 1 << 40,
            members: None,
        }
    }

    #[test]
    fn state_round_trips_and_every_cut_is_noticed() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        assert_eq!(StoreState::decode(&bytes).unwrap(), sample());
        for cut in 0..bytes.len() {
            assert!(StoreState::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn members_are_behind_all_else() {
        let state = StoreState {
            members: Some(Arc::from(*b"who")),
            ..sample()
        };
        let (mut bytes, mut without) = (Vec::new(), Vec::new());
        state.encode(&mut bytes);
        sample().encode(&mut without);
        assert_eq!(StoreState::decode(&bytes).unwrap(), state);
        for cut in without.len() + 1..bytes.len() {
            assert!(StoreState::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert!(StoreState::decode(&bytes).is_err());
    }

    #[test]
    fn added_databases_have_the_same_keyspaces_everywhere() {
        let mut state = StoreState::new(2);
        // FLUSHDB 0.
        state.dbs[0] = state.next_space;
        state.next_space += 1;
        state.add_databases(4);
        let mut behind = StoreState::new(2);
        behind.add_databases(4);
        assert_eq!(state.dbs[1..], [1, 2, 3]);
        assert_eq!(behind.dbs, [0, 1, 2, 3]);
        assert_eq!(behind, StoreState::new(4));
        state.add_databases(3);
        assert_eq!(state.dbs.len(), 4, "they never get fewer");
    }

    #[test]
    fn format_3_still_reads() {
        let frozen = [
            3, 2, 0, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 188, 2, 0,
            0, 0, 0, 0, 1, 0, 0, 2, 0, 4, 0, 0, 0, 1, 0, 0, 0,
        ];
        assert_eq!(StoreState::decode(&frozen).unwrap(), sample());
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        assert_eq!(bytes, frozen);
    }

    #[test]
    fn other_formats_and_slots_that_there_are_not_are_refused() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        bytes[0] = 1;
        let error = StoreState::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("earlier version"), "{error}");
        bytes[0] = 4;
        let error = StoreState::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("later version"), "{error}");
        for (first, last) in [(3, 2), (0, SLOTS), (u16::MAX, u16::MAX)] {
            let mut state = sample();
            state.slots = Slots { first, last };
            bytes.clear();
            state.encode(&mut bytes);
            assert!(StoreState::decode(&bytes).is_err(), "{first} to {last}");
        }
    }
}
