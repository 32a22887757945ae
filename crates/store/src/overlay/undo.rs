//! Taking back what commands of the open entry did.

use super::pending::ordered_key;
use super::{EntryState, Mapping, Overlay, Undo, add_counts};
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
        if let Some(changed) = &undo.changed {
            self.unchange(changed);
        }
        let key = self.turn(self.newest_seq()).ops[undo.key.clone()].to_vec();
        if undo.cf == Cf::Data {
            self.change_known(|known| known.unknown(undo.space, &key));
        }
        if let Some(ordered) = self.ordered.get_mut() {
            let ordered_key = ordered_key(undo.space, undo.cf, &key);
            match &undo.previous {
                Some(place) => ordered.insert(ordered_key, place.clone()),
                None => ordered.remove(&ordered_key),
            };
        }
        let seq = self.newest_seq();
        if let Some(turn) = self.turns.back_mut() {
            match undo.previous.as_ref().filter(|place| place.turn == seq) {
                Some(place) => turn.write(undo.hash, undo.space, undo.cf, place),
                // What came last goes first.
                None => drop(turn.writes.pop()),
            }
        }
        let (turns, first) = (&self.turns, self.first_turn);
        let found = self.table.find_entry(undo.hash, |s| {
            s.space == undo.space
                && s.cf == undo.cf
                && turns[(s.place.turn - first) as usize].ops[s.place.key.clone()] == key[..]
        });
        if let Ok(mut slot) = found {
            match undo.previous {
                Some(place) => slot.get_mut().place = place,
                None => drop(slot.remove()),
            }
        }
    }
}
