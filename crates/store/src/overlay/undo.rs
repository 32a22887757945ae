//! Taking back what commands of the open entry did.

use super::pending::ordered_key;
use super::{Before, EntryState, Mapping, Overlay, Place, Undo, add_counts};
use crate::Cf;

/// A point within an entry to which its effects can be taken back.
pub struct Savepoint {
    ops: usize,
    rows: usize,
    drafts: usize,
    passed_drafts: usize,
    undo: usize,
    ids: u64,
    counted: usize,
    mapping: Option<Mapping>,
}

impl Overlay {
    /// Marks a point in the open entry. Then it can be taken back to here or to where it began, and to no point between.
    pub fn savepoint(&mut self) -> Savepoint {
        let EntryState { passed, free, .. } = &mut self.entry;
        std::mem::swap(passed, free);
        passed.clear();
        if let Some(turn) = self.turns.back_mut() {
            let start = self.entry.drafts_start;
            let is_own = |draft: &mut usize| *draft >= start;
            let gone = self.entry.passed_drafts.extract_if(.., is_own);
            gone.for_each(|draft| turn.drafts.free(draft));
        }
        Savepoint {
            drafts: self.last_turn().map_or(0, |t| t.drafts.len()),
            passed_drafts: self.entry.passed_drafts.len(),
            ops: self.last_turn().map_or(0, |t| t.ops.len()),
            rows: self.last_turn().map_or(0, |t| t.rows.len()),
            undo: self.undo.len(),
            ids: self.entry.ids,
            counted: self.last_turn().map_or(0, |t| t.counted.len()),
            mapping: self.mapping.clone(),
        }
    }

    /// Takes back what the open entry did after the savepoint.
    pub fn rollback(&mut self, savepoint: Savepoint) {
        while self.undo.len() > savepoint.undo {
            let Some(undo) = self.undo.pop() else { break };
            self.revert(undo);
        }
        if let Some(turn) = self.turns.back_mut() {
            turn.ops.truncate(savepoint.ops);
            turn.rows.truncate(savepoint.rows);
            let taken_back = turn.counted.drain(savepoint.counted..);
            taken_back.for_each(|change| add_counts(&mut self.counts, change, -1));
            turn.drafts.truncate(savepoint.drafts);
        }
        self.entry.passed_drafts.truncate(savepoint.passed_drafts);
        // What was written over is there again.
        self.entry.passed.clear();
        self.entry.free.retain(|free| free.end <= savepoint.rows);
        self.telling = None;
        self.entry.ids = savepoint.ids;
        self.mapping = savepoint.mapping;
    }

    fn revert(&mut self, undo: Undo) {
        if undo.changed
            && let Some(changed) = self.changed.pop()
        {
            self.unchange(&changed);
        }
        let seq = self.newest_seq() as u32;
        let Some(turn) = self.turns.back() else { return };
        let Some(write) = turn.writes.get(undo.write as usize).copied() else {
            return;
        };
        let key = turn.key(&write).to_vec();
        if write.cf == Cf::Data {
            self.change_known(|known| known.unknown(write.space, &key));
        }
        let place = Place {
            turn: seq,
            write: undo.write,
        };
        match undo.before {
            Before::Overwritten => {
                let before = self.overwritten.pop();
                let known = self
                    .turns
                    .back_mut()
                    .and_then(|turn| turn.writes.get_mut(undo.write as usize));
                if let (Some(before), Some(known)) = (before, known) {
                    *known = before;
                }
                return;
            }
            Before::Earlier(before) => {
                if let Some(slot) = self.table.find_mut(write.hash, |slot| slot.place == place) {
                    slot.place = before;
                }
                if let Some(ordered) = self.ordered.get_mut() {
                    ordered.insert(ordered_key(write.space, write.cf, &key), before);
                }
            }
            Before::Nothing => {
                if let Ok(slot) = self.table.find_entry(write.hash, |slot| slot.place == place) {
                    slot.remove();
                }
                if let Some(ordered) = self.ordered.get_mut() {
                    ordered.remove(&ordered_key(write.space, write.cf, &key));
                }
            }
        }
        if let Some(turn) = self.turns.back_mut() {
            // What came last goes first.
            assert!(
                turn.writes.len() == undo.write as usize + 1,
                "the newest write is taken back"
            );
            turn.writes.pop();
        }
    }
}
