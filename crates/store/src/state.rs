//! What the store says of itself: one record under the key `"state"` of the `default` column family.
//!
//! It is written with every batch, and all column families are flushed together (`atomic_flush`), so whatever is on
//! disk is exactly the state after the entry at `applied`, and replay starts at the next one.
//!
//! ```text
//! format u8 = 1 | term u64 LE | index u64 LE | clock u64 LE | next keyspace u32 LE
//! | databases u16 LE, then for each its keyspace u32 LE
//! | keyspaces u16 LE, then for each: id u32 LE, keys u64 LE, expires u64 LE
//! ```

use std::collections::BTreeMap;

use haypile_types::Position;

use crate::{Counts, SpaceId, StoreError};

pub(crate) const STATE_KEY: &[u8] = b"state";
const FORMAT: u8 = 1;

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
    /// Exact counters of the keyspaces that have keys or had some.
    pub counts: BTreeMap<SpaceId, Counts>,
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
        out.extend_from_slice(&(self.dbs.len() as u16).to_le_bytes());
        for space in &self.dbs {
            out.extend_from_slice(&space.to_le_bytes());
        }
        out.extend_from_slice(&(self.counts.len() as u16).to_le_bytes());
        for (space, counts) in &self.counts {
            out.extend_from_slice(&space.to_le_bytes());
            out.extend_from_slice(&counts.keys.to_le_bytes());
            out.extend_from_slice(&counts.expires.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            FORMAT => {}
            other => return Err(StoreError::Corrupt(format!("state record of unknown format {other}"))),
        }
        let applied = Position::new(reader.u64()?, reader.u64()?);
        let clock = reader.u64()?;
        let next_space = reader.u32()?;
        let databases = reader.u16()?;
        let dbs = (0..databases).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let spaces = reader.u16()?;
        let counts = (0..spaces)
            .map(|_| {
                Ok((
                    reader.u32()?,
                    Counts {
                        keys: reader.u64()?,
                        expires: reader.u64()?,
                    },
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(StoreState {
            applied,
            clock,
            next_space,
            dbs,
            counts,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, tail) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| StoreError::Corrupt("state record cut short".into()))?;
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
            counts: BTreeMap::from([(4, Counts { keys: 9, expires: 3 })]),
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
    fn format_1_still_reads() {
        let frozen = [
            1, 2, 0, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 4, 0, 0, 0,
            1, 0, 0, 0, 1, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(StoreState::decode(&frozen).unwrap(), sample());
    }
}
