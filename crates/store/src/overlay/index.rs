//! Which write to a key is the newest, as turns come and go.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashTable;
use haypile_rows::Key;

use super::pending::{PendingRange, ordered_end, ordered_key};
use super::{
    EntryState, Overlay, Pending, Place, SPARE_BYTES_MAX, SPARE_WRITES_MAX, Slot, Turn, TurnWrite, add_counts,
};
use crate::known::Known;
use crate::{Cf, SpaceId, Value};

impl Overlay {
    /// The pending write for a key: `None` = no pending write, `Some(None)` = deleted.
    pub(crate) fn get<'v>(&self, key: Key<'_>) -> Option<Option<Value<'v>>> {
        let place = self.find(key)?;
        let (turn, write) = self.write(place);
        Some(match write.value {
            Pending::Draft(number) => turn.drafts.share(number as usize),
            value => turn.value(value).map(|value| Value::Owned(value.into())),
        })
    }

    /// Where the pending write of a key stands.
    pub(super) fn find(&self, key: Key<'_>) -> Option<Place> {
        if self.table.is_empty() {
            return None;
        }
        let slot = self.table.find(key.hash, |slot| {
            slot.hash == key.hash && {
                let (turn, write) = self.write(slot.place);
                turn.is_of(write, key)
            }
        })?;
        Some(slot.place)
    }

    /// A write, and its turn, which is pending.
    pub(super) fn write(&self, place: Place) -> (&Turn, &TurnWrite) {
        write_at(&self.turns, self.first_turn, place)
    }
    /// Pending writes of a key range, in key order.
    pub(crate) fn pending_range<'a>(
        &'a self,
        space: SpaceId,
        cf: Cf,
        lower: &[u8],
        upper: Option<&[u8]>,
    ) -> PendingRange<'a> {
        if self.table.is_empty() {
            return PendingRange::none();
        }
        // To bring all that is pending into order costs as much as writing it; who copies a collection reads another one.
        if cf == Cf::Data && !self.touched.may_have(space, lower, upper) {
            return PendingRange::none();
        }
        let ordered = self.ordered.get_or_init(|| self.in_order());
        let low = ordered_key(space, cf, lower);
        let high = match upper {
            Some(upper) => ordered_key(space, cf, upper),
            None => ordered_end(space, cf),
        };
        if low >= high {
            return PendingRange::none();
        }
        PendingRange::of(self, ordered, &low, &high)
    }

    fn in_order(&self) -> BTreeMap<Box<[u8]>, Place> {
        let of = |slot: &Slot| {
            let (turn, write) = self.write(slot.place);
            (ordered_key(write.space, write.cf, turn.key(write)), slot.place)
        };
        self.table.iter().map(of).collect()
    }

    /// Drops the newest turn if it has no entries.
    pub fn drop_empty_newest(&mut self) {
        if self.turns.back().is_some_and(|turn| turn.entries.is_empty())
            && let Some(turn) = self.turns.pop_back()
        {
            self.keep_spare(turn);
        }
    }

    /// Forgets the newest turn: it could not be logged.
    pub fn abandon_newest(&mut self) {
        let Some(turn) = self.turns.pop_back() else { return };
        // What it deleted lives again.
        self.change_known(Known::forget);
        let seq = self.first_turn + self.turns.len() as u64;
        self.forget(seq, &turn);
        // What the abandoned turn hid of earlier turns is gone from the index too: make it anew.
        self.reindex();
        self.mapping = turn.mapping_before;
    }

    /// Drops the oldest turn: it has been published.
    pub(crate) fn retire_oldest(&mut self) {
        let Some(turn) = self.turns.pop_front() else { return };
        let seq = self.first_turn;
        self.first_turn += 1;
        if self.turns.is_empty() {
            if self.table.capacity() > SPARE_WRITES_MAX {
                self.table = HashTable::new();
            } else {
                self.table.clear();
            }
            if self.undo.capacity() > SPARE_WRITES_MAX {
                self.undo = Vec::new();
            }
            if self.overwritten.capacity() > SPARE_WRITES_MAX {
                self.overwritten = Vec::new();
            }
            self.ordered = OnceCell::new();
            self.touched.clear();
            self.mapping = None;
            self.counts.clear();
        } else {
            self.forget(seq, &turn);
        }
        self.keep_spare(turn);
    }

    /// Removes from the index what only this turn, which is no longer in `turns`, has.
    pub(super) fn forget(&mut self, seq: u64, turn: &Turn) {
        let seq = seq as u32;
        for (number, write) in turn.writes.iter().enumerate() {
            let place = Place {
                turn: seq,
                write: number as u32,
            };
            if let Ok(slot) = self.table.find_entry(write.hash, |slot| slot.place == place) {
                slot.remove();
            }
        }
        if let Some(ordered) = self.ordered.get_mut() {
            ordered.retain(|_, place| place.turn != seq);
        }
        for change in &turn.counted {
            add_counts(&mut self.counts, *change, -1);
        }
    }

    /// Makes the index anew.
    pub(super) fn reindex(&mut self) {
        self.table.clear();
        self.ordered = OnceCell::new();
        self.forget_undo();
        self.entry = EntryState::default();
        let (turns, first) = (&self.turns, self.first_turn);
        for (at, turn) in turns.iter().enumerate() {
            for (number, write) in turn.writes.iter().enumerate() {
                let place = Place {
                    turn: (first + at as u64) as u32,
                    write: number as u32,
                };
                let key = Key {
                    hash: write.hash,
                    space: write.space,
                    family: write.cf as u8,
                    key: turn.key(write),
                };
                let same = |slot: &Slot| {
                    let (turn, write) = write_at(turns, first, slot.place);
                    turn.is_of(write, key)
                };
                match self.table.entry(write.hash, same, |slot| slot.hash) {
                    hashbrown::hash_table::Entry::Occupied(mut slot) => slot.get_mut().place = place,
                    hashbrown::hash_table::Entry::Vacant(slot) => {
                        slot.insert(Slot {
                            hash: write.hash,
                            place,
                        });
                    }
                }
            }
        }
    }

    pub(super) fn keep_spare(&mut self, turn: Turn) {
        let Turn {
            mut ops,
            mut rows,
            mut writes,
            mut counted,
            ..
        } = turn;
        if rows.capacity() <= SPARE_BYTES_MAX {
            rows.clear();
            self.spare_rows = rows;
        }
        if ops.capacity() <= SPARE_BYTES_MAX {
            ops.clear();
            self.spare = ops;
        }
        if writes.capacity() <= SPARE_WRITES_MAX {
            writes.clear();
            self.spare_writes = writes;
        }
        if counted.capacity() <= SPARE_WRITES_MAX {
            counted.clear();
            self.spare_counted = counted;
        }
    }
}

/// The same for who changes something else of the overlay meanwhile.
pub(super) fn write_at(turns: &VecDeque<Turn>, first: u64, place: Place) -> (&Turn, &TurnWrite) {
    let turn = &turns[place.turn.wrapping_sub(first as u32) as usize];
    (turn, &turn.writes[place.write as usize])
}
