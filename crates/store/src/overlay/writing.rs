//! Writes of the open entry: what is logged, and what is read of it from then on.

use std::ops::Range;

use haypile_rows::Key;

use super::index::write_at;
use super::pending::ordered_key;
use super::{Before, Overlay, Pending, Place, Slot, Span, TurnWrite, Undo, add_counts, open_turn};
use crate::counts::SlotChange;
use crate::{Cf, Counted, effects};

impl Overlay {
    /// Writes a value (`None` deletes) in the open entry.
    pub(crate) fn put(&mut self, cf: Cf, key: Key<'_>, value: Option<&[u8]>) {
        if cf == Cf::Data {
            self.touched.add(key.space, key.key);
            self.change_known(|known| match value {
                Some(value) => known.put(key.space, key.key, value),
                None => known.deleted(key.space, key.key),
            });
        }
        self.put_counted(cf, key, value.map(|value| [value, &[]]), Counted::NOTHING);
    }

    /// The same of a row that changes the counters of keys.
    pub(crate) fn put_counted(&mut self, cf: Cf, key: Key<'_>, value: Option<effects::Parts<'_>>, counted: Counted) {
        let Key { hash, space, key, .. } = key;
        let turn = open_turn(&mut self.turns);
        let written = effects::write_put(&mut turn.ops, (space, cf), key, value, counted);
        if let Some(change) = SlotChange::of(space, key, counted) {
            turn.counted.push(change);
            add_counts(&mut self.counts, change, 1);
        }
        let value = written
            .value
            .map_or(Pending::Deleted, |value| Pending::Logged(Span::of(&value)));
        self.place(
            cf,
            Key {
                hash,
                space,
                family: cf as u8,
                key,
            },
            written.key,
            value,
        );
    }

    /// Writes a row of [`Cf::Meta`] in the open entry, of which a patch says what has changed: the patch is logged, the row is
    /// what is read. What others make of the patch and the row before must be this row. `build` appends the row; if it gives false
    /// or an error, nothing is written.
    pub(crate) fn patch<E>(
        &mut self,
        key: Key<'_>,
        patch: &[u8],
        counted: Counted,
        build: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let turn = open_turn(&mut self.turns);
        let start = turn.rows.len();
        let built = build(&mut turn.rows);
        if !matches!(built, Ok(true)) {
            turn.rows.truncate(start);
            return built;
        }
        let mut at = start..turn.rows.len();
        // A transaction may change one row any number of times.
        if let Some(free) = self.entry.free.pop().filter(|free| free.len() >= at.len()) {
            turn.rows.copy_within(at.clone(), free.start);
            turn.rows.truncate(start);
            at = free.start..free.start + at.len();
        }
        let written = self.log_patch(key, patch, counted);
        self.place(Cf::Meta, key, written, Pending::Beside(Span::of(&at)));
        Ok(true)
    }

    /// Logs a patch; the place of its key.
    pub(super) fn log_patch(&mut self, key: Key<'_>, patch: &[u8], counted: Counted) -> Range<usize> {
        let turn = open_turn(&mut self.turns);
        if let Some(change) = SlotChange::of(key.space, key.key, counted) {
            turn.counted.push(change);
            add_counts(&mut self.counts, change, 1);
        }
        effects::write_patch(&mut turn.ops, key.space, key.key, patch, counted)
    }

    /// Notes where the newest write to a key stands.
    pub(super) fn place(&mut self, cf: Cf, key: Key<'_>, at: Range<usize>, value: Pending) {
        let seq = self.newest_seq();
        let number = open_turn(&mut self.turns).writes.len();
        let write = TurnWrite {
            hash: key.hash,
            key: Span::of(&at),
            value,
            space: key.space,
            cf,
            began_with_put: !matches!(value, Pending::Deleted),
        };
        if cf == Cf::Meta
            && let Some(telling) = &mut self.telling
        {
            telling.row(at);
        }
        assert!(
            number < u32::MAX as usize,
            "the writes of a turn are counted in 32 bits"
        );
        let mut place = Place {
            turn: seq as u32,
            write: number as u32,
        };
        let (turns, first) = (&self.turns, self.first_turn);
        let entry = self.table.entry(
            key.hash,
            |slot| {
                slot.hash == key.hash && {
                    let (turn, write) = write_at(turns, first, slot.place);
                    turn.is_of(write, key)
                }
            },
            |slot| slot.hash,
        );
        let before = match entry {
            hashbrown::hash_table::Entry::Occupied(slot) if slot.get().place.turn == place.turn => {
                place = slot.get().place;
                Before::Overwritten
            }
            hashbrown::hash_table::Entry::Occupied(mut slot) => {
                let known = &mut slot.get_mut().place;
                Before::Earlier(std::mem::replace(known, place))
            }
            hashbrown::hash_table::Entry::Vacant(slot) => {
                slot.insert(Slot { hash: key.hash, place });
                Before::Nothing
            }
        };
        let turn = open_turn(&mut self.turns);
        match (&before, turn.writes.get_mut(place.write as usize)) {
            (Before::Overwritten, Some(known)) => {
                let overwritten = std::mem::replace(known, write);
                known.began_with_put = overwritten.began_with_put;
                match (overwritten.value, value) {
                    (Pending::Beside(at), _) if at.start as usize >= self.entry.rows_start => {
                        self.entry.passed.push(at.range());
                    }
                    (Pending::Draft(draft), Pending::Draft(same)) if same == draft => {}
                    (Pending::Draft(draft), _) => self.entry.passed_drafts.push(draft as usize),
                    _ => {}
                }
                self.overwritten.push(overwritten);
            }
            _ => {
                turn.writes.push(write);
                if let Some(ordered) = self.ordered.get_mut() {
                    ordered.insert(ordered_key(key.space, cf, key.key), place);
                }
            }
        }
        self.undo.push(Undo {
            write: place.write,
            before,
            changed: false,
        });
    }
}
