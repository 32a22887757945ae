//! How many keys there are: of a keyspace, and of each slot of it.
//!
//! An effect that makes or removes a row, or gives it or takes from it an expiry, says so ([`Counted`]); the slot is in its key.
//! So counting costs the log nothing. In memory the slots of a keyspace come in blocks, each made when one of its slots gets
//! a key; on disk each block is a record of the column family `default`, written when something in it has changed:
//!
//! ```text
//! "counts" | keyspace u32 BE | first slot u16 BE  ->  (slot - first slot u8 | keys varint | expires varint)*
//! ```
//!
//! Slots without keys are left out, and a block of them has no record. (A record for each slot would be thousands with each
//! settle, as many as a tenth of the rows.)

use std::collections::HashMap;
use std::sync::Arc;

use haypile_types::SLOTS;

use crate::keys::{read_varint, write_varint};
use crate::{SpaceId, StoreError};

/// Slots of a block.
const BLOCK: usize = 64;
const BLOCKS: usize = SLOTS as usize / BLOCK;
/// Keys of a slot at most, more than any disk holds: the sum over all slots is a number.
const KEYS_MAX: u64 = 1 << 48;
/// What the keys of the records start with.
pub(crate) const RECORDS: &[u8] = b"counts";

/// How many keys a keyspace, or a slot of it, has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys, those included that have expired but not been removed yet.
    pub keys: u64,
    /// Of these, keys with an expiry.
    pub expires: u64,
}

impl Counts {
    /// The counters after a change; `None` if there are fewer keys than are to go: then the rows are not those that the change was made
    /// for.
    fn changed(self, keys: i64, expires: i64) -> Option<Self> {
        Some(Counts {
            keys: self.keys.checked_add_signed(keys)?,
            expires: self.expires.checked_add_signed(expires)?,
        })
    }

    /// The same where they need not fit exactly.
    pub(crate) fn change_loosely(self, keys: i64, expires: i64) -> Self {
        Counts {
            keys: self.keys.saturating_add_signed(keys),
            expires: self.expires.saturating_add_signed(expires),
        }
    }
}

/// What writing a row changes the counters by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// 1 if the key is new, -1 if it is gone, else 0.
    pub keys: i8,
    /// 1 if the key expires and did not before, -1 the other way, else 0.
    pub expires: i8,
}

const KEY_MORE: u8 = 0x10;
const KEY_FEWER: u8 = 0x20;
const EXPIRY_MORE: u8 = 0x40;
const EXPIRY_FEWER: u8 = 0x80;

impl Counted {
    /// Nothing.
    pub const NOTHING: Counted = Counted { keys: 0, expires: 0 };

    /// The bits that an effect has beside the column family.
    ///
    /// # Panics
    /// If it says that one row is more than one key: the counters would be wrong for good.
    pub(crate) fn bits(self) -> u8 {
        let bit = |change: i8, more: u8, fewer: u8| match change {
            0 => 0,
            1 => more,
            -1 => fewer,
            _ => panic!("one row cannot change a counter by {change}"),
        };
        bit(self.keys, KEY_MORE, KEY_FEWER) | bit(self.expires, EXPIRY_MORE, EXPIRY_FEWER)
    }

    /// Reads them; `None` if they contradict each other.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        let change = |more: u8, fewer: u8| match (bits & more != 0, bits & fewer != 0) {
            (true, true) => None,
            (more, fewer) => Some(i8::from(more) - i8::from(fewer)),
        };
        Some(Counted {
            keys: change(KEY_MORE, KEY_FEWER)?,
            expires: change(EXPIRY_MORE, EXPIRY_FEWER)?,
        })
    }
}

/// A change of the counters of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotChange {
    pub(crate) space: SpaceId,
    pub(crate) slot: u16,
    pub(crate) counted: Counted,
}

impl SlotChange {
    /// What is counted with the row of a meta key, if anything is.
    pub(crate) fn of(space: SpaceId, meta_key: &[u8], counted: Counted) -> Option<Self> {
        let slot = u16::from_be_bytes(*meta_key.first_chunk()?);
        (counted != Counted::NOTHING).then_some(SlotChange { space, slot, counted })
    }
}

/// The counters of all slots, after the last entry that was published.
#[derive(Default)]
pub(crate) struct SlotCounts {
    spaces: HashMap<SpaceId, Blocks>,
    /// Keyspaces that no database is any more since the entry of this log index: their records are to be removed.
    gone: Vec<(SpaceId, u64, Vec<usize>)>,
}

type Blocks = Vec<Option<Arc<Block>>>;

/// A keyspace, and what its keys and those that expire become more by.
pub(crate) type SpaceChange = (SpaceId, i64, i64);

#[derive(Clone)]
struct Block {
    /// Log index of the turn that has changed it last.
    changed: u64,
    slots: BlockSlots,
}

/// The counters of a block's slots. A keyspace has 256 blocks as soon as it has a few thousand keys, so they are small as long as
/// they can be.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // the large one is the usual one, and what it saves is the point
enum BlockSlots {
    /// Keys, and keys that expire.
    Narrow([(u16, u16); BLOCK]),
    Wide(Box<[Counts; BLOCK]>),
}

impl BlockSlots {
    fn get(&self, slot: usize) -> Counts {
        match self {
            BlockSlots::Narrow(slots) => Counts {
                keys: slots[slot].0.into(),
                expires: slots[slot].1.into(),
            },
            BlockSlots::Wide(slots) => slots[slot],
        }
    }

    fn set(&mut self, slot: usize, counts: Counts) {
        match (&mut *self, counts.keys.try_into(), counts.expires.try_into()) {
            (BlockSlots::Narrow(slots), Ok(keys), Ok(expires)) => slots[slot] = (keys, expires),
            (BlockSlots::Wide(slots), ..) => slots[slot] = counts,
            (BlockSlots::Narrow(_), ..) => {
                let mut slots = Box::new(std::array::from_fn(|slot| self.get(slot)));
                slots[slot] = counts;
                *self = BlockSlots::Wide(slots);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = Counts> {
        (0..BLOCK).map(|slot| self.get(slot))
    }
}

fn no_blocks() -> Blocks {
    vec![None; BLOCKS]
}

/// A block to be changed. Who settles may still have what it was.
fn block(place: &mut Option<Arc<Block>>) -> &mut Block {
    let block = place.get_or_insert_with(|| {
        Arc::new(Block {
            changed: 0,
            slots: BlockSlots::Narrow([(0, 0); BLOCK]),
        })
    });
    Arc::make_mut(block)
}

/// A record that has to be written, or if there is no block any more, removed.
pub(crate) struct Record {
    space: SpaceId,
    block: usize,
    counts: Option<Arc<Block>>,
}

impl SlotCounts {
    /// Applies what the turn at `position` changes, and gives what it changes the counters of keyspaces by. A slot that there
    /// cannot be counts as the last one, so that the sum is right.
    ///
    /// # Errors
    /// More keys are to go than there are. The counters are of no use any more.
    pub(crate) fn change(&mut self, changes: &[SlotChange], position: u64) -> Result<Vec<SpaceChange>, StoreError> {
        let mut sums: Vec<SpaceChange> = Vec::new();
        for of_space in changes.chunk_by(|a, b| a.space == b.space) {
            let space = of_space[0].space;
            let blocks = self.spaces.entry(space).or_insert_with(no_blocks);
            let (mut keys, mut expires) = (0, 0);
            for SlotChange { slot, counted, .. } in of_space {
                let slot = usize::from((*slot).min(SLOTS - 1));
                let block = block(&mut blocks[slot / BLOCK]);
                block.changed = position;
                let (more_keys, more_expires) = (counted.keys.into(), counted.expires.into());
                let before = block.slots.get(slot % BLOCK);
                let after = before.changed(more_keys, more_expires).ok_or_else(|| {
                    StoreError::Corrupt(format!(
                        "entry {position} changes the keys of slot {slot} by {more_keys} and those that expire by {more_expires}, and \
                         there are {} and {}",
                        before.keys, before.expires
                    ))
                })?;
                block.slots.set(slot % BLOCK, after);
                keys += more_keys;
                expires += more_expires;
            }
            sums.push((space, keys, expires));
        }
        Ok(sums)
    }

    pub(crate) fn of_slot(&self, space: SpaceId, slot: u16) -> Counts {
        let slot = usize::from(slot);
        let blocks = self.spaces.get(&space);
        let block = blocks.and_then(|blocks| blocks.get(slot / BLOCK)?.as_ref());
        block.map_or(Counts::default(), |block| block.slots.get(slot % BLOCK))
    }

    /// The sums over all slots.
    pub(crate) fn totals(&self) -> HashMap<SpaceId, Counts> {
        let sum = |blocks: &Blocks| {
            let mut sum = Counts::default();
            for slot in blocks.iter().flatten().flat_map(|block| block.slots.all()) {
                sum.keys += slot.keys;
                sum.expires += slot.expires;
            }
            sum
        };
        self.spaces
            .iter()
            .map(|(space, blocks)| (*space, sum(blocks)))
            .collect()
    }

    /// Keeps the counters of these keyspaces alone, after the turn at `position`.
    pub(crate) fn keep(&mut self, dbs: &[SpaceId], position: u64) {
        let gone = self.spaces.extract_if(|space, _| !dbs.contains(space));
        self.gone.extend(gone.map(|(space, blocks)| {
            let made = (0..BLOCKS).filter(|block| blocks[*block].is_some());
            (space, position, made.collect())
        }));
    }

    /// The records that have changed after the entry `since`.
    pub(crate) fn changed(&self, since: u64) -> Vec<Record> {
        let mut records = Vec::new();
        for (space, _, blocks) in &self.gone {
            records.extend(blocks.iter().map(|block| Record {
                space: *space,
                block: *block,
                counts: None,
            }));
        }
        for (space, blocks) in &self.spaces {
            for (number, block) in blocks.iter().enumerate() {
                if let Some(block) = block.as_ref().filter(|block| block.changed > since) {
                    records.push(Record {
                        space: *space,
                        block: number,
                        counts: Some(block.clone()),
                    });
                }
            }
        }
        records
    }

    /// Records of what was gone until the entry `until` have been removed.
    pub(crate) fn removed(&mut self, until: u64) {
        self.gone.retain(|(_, at, _)| *at > until);
    }

    /// Adds what a record says; what is read until the entry `applied` is not written again.
    pub(crate) fn read(&mut self, key: &[u8], mut value: &[u8], applied: u64) -> Result<(), StoreError> {
        let damaged = || StoreError::Corrupt("a record of key counters cannot be read".into());
        let place = key.strip_prefix(RECORDS).and_then(|rest| {
            let (space, first) = rest.split_first_chunk()?;
            let first = usize::from(u16::from_be_bytes(first.try_into().ok()?));
            (first.is_multiple_of(BLOCK) && first / BLOCK < BLOCKS)
                .then_some((u32::from_be_bytes(*space), first / BLOCK))
        });
        let (space, block) = place.ok_or_else(damaged)?;
        let blocks = self.spaces.entry(space).or_insert_with(no_blocks);
        let block = self::block(&mut blocks[block]);
        block.changed = applied;
        while let Some((&slot, rest)) = value.split_first() {
            let (keys, used) = read_varint(rest).ok_or_else(damaged)?;
            let rest = &rest[used..];
            let (expires, used) = read_varint(rest).ok_or_else(damaged)?;
            value = &rest[used..];
            if usize::from(slot) >= BLOCK || expires > keys || keys > KEYS_MAX {
                return Err(damaged());
            }
            block.slots.set(usize::from(slot), Counts { keys, expires });
        }
        Ok(())
    }
}

impl Record {
    pub(crate) fn key(&self) -> Vec<u8> {
        let first = (self.block * BLOCK) as u16;
        [RECORDS, &self.space.to_be_bytes(), &first.to_be_bytes()].concat()
    }

    /// `None` if there is to be no record.
    pub(crate) fn value(&self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let slots = self.counts.iter().flat_map(|block| block.slots.all().enumerate());
        for (slot, counts) in slots.filter(|(_, counts)| *counts != Counts::default()) {
            value.push(slot as u8);
            write_varint(&mut value, counts.keys);
            write_varint(&mut value, counts.expires);
        }
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(space: SpaceId, slot: u16, keys: i8, expires: i8) -> SlotChange {
        let counted = Counted { keys, expires };
        SlotChange { space, slot, counted }
    }

    /// What a settle would write.
    fn written(counts: &SlotCounts, since: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut written: Vec<_> = counts.changed(since).iter().map(|r| (r.key(), r.value())).collect();
        written.sort();
        written
    }

    #[test]
    fn what_a_row_counts_is_four_bits() {
        for keys in -1..=1 {
            for expires in -1..=1 {
                let counted = Counted { keys, expires };
                assert_eq!(counted.bits() & 0x0f, 0);
                assert_eq!(Counted::from_bits(counted.bits()), Some(counted));
            }
        }
        assert_eq!(Counted { keys: 1, expires: -1 }.bits(), 0x90);
        assert_eq!(Counted { keys: -1, expires: 1 }.bits(), 0x60);
        assert_eq!(Counted::from_bits(0x30), None);
        assert_eq!(Counted::from_bits(0xc0), None);
    }

    #[test]
    fn a_slot_may_have_any_number_of_keys() {
        let mut counts = SlotCounts::default();
        counts.change(&[change(7, 1, 1, 0)], 5).unwrap();
        for step in 1..=70_000u64 {
            counts.change(&[change(7, 2, 1, i8::from(step <= 3))], 5).unwrap();
            assert_eq!(counts.of_slot(7, 2).keys, step);
        }
        assert_eq!(counts.of_slot(7, 2).expires, 3);
        assert_eq!(counts.of_slot(7, 1), Counts { keys: 1, expires: 0 });
        assert_eq!(counts.totals()[&7].keys, 70_001);
        let mut read = SlotCounts::default();
        for (key, value) in written(&counts, 0) {
            read.read(&key, &value.unwrap(), 6).unwrap();
        }
        assert_eq!(read.of_slot(7, 2), counts.of_slot(7, 2));
    }

    #[test]
    fn records_are_written_as_documented_and_only_what_has_changed() {
        let mut counts = SlotCounts::default();
        for _ in 0..300 {
            counts.change(&[change(7, 0x41, 1, 0)], 5).unwrap();
        }
        counts.change(&[change(7, 0x41, 0, 1)], 5).unwrap();
        counts.change(&[change(7, 0x7f, 1, 1)], 5).unwrap();
        counts.change(&[change(7, 16383, 1, 0)], 6).unwrap();
        let first = (b"counts\0\0\0\x07\0\x40".to_vec(), Some(vec![1, 0xac, 2, 1, 63, 1, 1]));
        let last = (b"counts\0\0\0\x07\x3f\xc0".to_vec(), Some(vec![63, 1, 0]));
        assert_eq!(written(&counts, 0), [first.clone(), last.clone()]);
        assert_eq!(written(&counts, 5), std::slice::from_ref(&last));
        assert_eq!(written(&counts, 6), []);
        let mut read = SlotCounts::default();
        for (key, value) in [first, last] {
            read.read(&key, &value.unwrap(), 6).unwrap();
        }
        assert_eq!(written(&read, 6), []);
        assert_eq!(written(&read, 0), written(&counts, 0));
        assert_eq!(read.of_slot(7, 0x41), Counts { keys: 300, expires: 1 });
        assert_eq!(read.of_slot(7, 0x42), Counts::default());
        assert_eq!(read.of_slot(8, 0x41), Counts::default());
        assert_eq!(read.totals()[&7], Counts { keys: 302, expires: 2 });
        read.change(&[change(7, 16383, -1, 0)], 7).unwrap();
        assert_eq!(written(&read, 6), [(b"counts\0\0\0\x07\x3f\xc0".to_vec(), None)]);
    }

    #[test]
    fn records_of_a_keyspace_that_is_gone_are_removed() {
        let mut counts = SlotCounts::default();
        counts.change(&[change(3, 0, 1, 0)], 1).unwrap();
        counts.change(&[change(4, 64, 1, 0)], 1).unwrap();
        counts.keep(&[4], 2);
        assert_eq!(written(&counts, 1), [(b"counts\0\0\0\x03\0\0".to_vec(), None)]);
        counts.removed(1);
        assert_eq!(written(&counts, 1).len(), 1, "what was gone later is not removed yet");
        counts.removed(2);
        assert_eq!(written(&counts, 1), []);
        assert_eq!(counts.totals().len(), 1);
    }

    #[test]
    fn no_more_keys_can_go_than_there_are() {
        let mut counts = SlotCounts::default();
        counts.change(&[change(7, 1, 1, 0), change(7, 1, 1, 1)], 1).unwrap();
        for wrong in [change(7, 1, 0, -1), change(7, 2, -1, 0), change(8, 1, -1, 0)] {
            counts.change(&[change(7, 1, -1, -1), change(7, 1, 1, 0)], 2).ok();
            let error = counts.change(&[wrong], 3).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{wrong:?}");
        }
    }

    #[test]
    fn damaged_records_are_noticed() {
        let mut counts = SlotCounts::default();
        let key = b"counts\0\0\0\x07\0\x40";
        for value in [
            &[0][..],
            &[0, 1],
            &[64, 1, 1],
            &[0, 0x80, 1],
            &[0, 1, 2],
            &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
        ] {
            assert!(counts.read(key, value, 0).is_err(), "{value:?}");
        }
        for key in [
            &b"counts"[..],
            b"counts\0\0\0\x07\0\x41",
            b"counts\0\0\0\x07\x40\0",
            b"counts\0\0\0\x07\0\x40\0",
        ] {
            assert!(counts.read(key, &[], 0).is_err(), "{key:?}");
        }
    }
}
