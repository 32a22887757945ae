//! What a replica of a simulated group has on disk.

use std::cell::RefCell;
use std::rc::Rc;

use haypile_consensus::{Ballot, Entry, LogError, LogReader, Members, Start, Work};
use haypile_types::{Position, Random};

use crate::group::options::Mutant;
use crate::rng::Rng;

/// What one replica has on disk. It outlives the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// The entry before the first of the log.
    base: Position,
    /// The entries since then.
    log: Vec<Entry>,
    /// Index up to which they outlive the machine.
    synced: u64,
    ballot: Ballot,
    synced_ballot: Ballot,
    /// Index of the last entry that the store has applied, and outlives the machine with.
    applied: u64,
    /// Who belonged to the group after that entry.
    members: Members,
    mutant: Option<Mutant>,
}

impl Disk {
    /// Nothing has been written yet, by a replica of a group that these found.
    pub(crate) fn new(members: Members, mutant: Option<Mutant>) -> Self {
        Disk {
            members,
            mutant,
            ..Disk::default()
        }
    }

    pub(crate) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Position {
        self.log.last().map_or(self.base, |entry| entry.position)
    }

    /// Up to where it will be known after any crash that entries are committed.
    pub(crate) fn known_committed(&self) -> u64 {
        self.applied.max(self.synced_ballot.commit)
    }

    /// The entry before the first.
    pub(crate) fn base(&self) -> Position {
        self.base
    }

    /// The entry with this index, if it is in the log.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        self.log.get(index.checked_sub(self.base.index + 1)? as usize)
    }

    /// True if it has this entry and would have it after a loss of power: in its log, or applied in what the log begins after.
    pub(crate) fn keeps(&self, position: Position) -> bool {
        position.index <= self.base.index
            || position.index <= self.synced
                && self
                    .entry(position.index)
                    .is_some_and(|entry| entry.position == position)
    }

    /// Writes what is to be written, and syncs it. What is committed is written down now and then only.
    pub(crate) fn carry_out(&mut self, work: &Work, saves_commit: bool) {
        self.write(work, work.entries.len(), saves_commit);
        self.synced = self.last().index;
    }

    fn write(&mut self, work: &Work, entries: usize, saves_commit: bool) {
        let is_known = |ballot: Ballot| (ballot.term, ballot.vote) == (self.ballot.term, self.ballot.vote);
        let is_forgotten = |ballot: Ballot| Mutant::is(self.mutant, Mutant::CommitNotSynced) && is_known(ballot);
        let must_sync = work.must_sync_ballot && !work.ballot.is_some_and(is_forgotten);
        if let Some(ballot) = work.ballot
            && (must_sync || saves_commit)
        {
            self.ballot = ballot;
            if must_sync {
                let vote = match Mutant::is(self.mutant, Mutant::VoteNotSynced) {
                    true => 0,
                    false => ballot.vote,
                };
                self.synced_ballot = Ballot { vote, ..ballot };
            }
        }
        let Some(first) = work.entries.first() else { return };
        let kept = first.position.index - 1;
        assert!(
            kept >= self.applied,
            "entries are taken away that were applied: from {}, {} were",
            kept + 1,
            self.applied
        );
        // What is cut off is gone for good before anything is put in its place.
        self.log.truncate((kept - self.base.index) as usize);
        assert!(
            self.last().index == kept,
            "the log has no gap before {}",
            first.position
        );
        self.synced = self.synced.min(kept);
        self.log.extend_from_slice(&work.entries[..entries]);
    }

    /// Only a part of this comes to be: the disk is full, or the process is killed meanwhile.
    pub(crate) fn carry_out_in_part(&mut self, work: &Work, rng: &mut Rng) {
        if rng.chance(500) {
            let entries = rng.below(work.entries.len() as u64 + 1) as usize;
            self.write(work, entries, rng.chance(300));
        }
    }

    /// The machine loses what was not synced.
    pub(crate) fn lose_power(&mut self) {
        self.log.truncate((self.synced - self.base.index) as usize);
        self.ballot = self.synced_ballot;
    }

    /// The store writes down what it has applied.
    pub(crate) fn settle(&mut self, applied: u64, members: &Members) {
        assert!(applied <= self.synced, "what is applied is on the disk");
        if applied > self.applied {
            (self.applied, self.members) = (applied, members.clone());
        }
    }

    /// Index of the last entry that the store has applied for good.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// Removes the entries up to this one, which the store has applied.
    pub(crate) fn collect(&mut self, before: u64) {
        assert!(before <= self.applied, "only what is applied is collected");
        let Some(base) = self.entry(before).map(|entry| entry.position) else {
            return;
        };
        self.log.drain(..(before - self.base.index) as usize);
        self.base = base;
    }

    /// A copied checkpoint, with the entries up to `position`, takes the place of everything but the ballot.
    pub(crate) fn install(&mut self, position: Position, members: Members) {
        let kept = match Mutant::is(self.mutant, Mutant::BallotForgotten) {
            true => Ballot::default(),
            false => self.ballot,
        };
        let (term, vote) = match kept.term < position.term {
            true => (position.term, 0),
            false => (kept.term, kept.vote),
        };
        let ballot = Ballot {
            term,
            vote,
            commit: position.index,
        };
        *self = Disk {
            base: position,
            log: Vec::new(),
            synced: position.index,
            ballot,
            synced_ballot: ballot,
            applied: position.index,
            members,
            mutant: self.mutant,
        };
    }

    /// A process opens it: what is found may have been written by an earlier one and not be synced.
    pub(crate) fn open(&mut self) -> Start {
        self.synced = self.last().index;
        self.synced_ballot = self.ballot;
        self.start()
    }

    /// What a process finds that starts on it.
    pub(crate) fn start(&self) -> Start {
        let mut terms = vec![self.base];
        for entry in &self.log {
            if terms.last().is_some_and(|last| last.term != entry.position.term) {
                terms.push(entry.position);
            }
        }
        let last = self.last();
        let commit = match Mutant::is(self.mutant, Mutant::CommitsAtLogsEnd) {
            true => last.index,
            false => self.ballot.commit,
        };
        Start {
            ballot: Ballot { commit, ..self.ballot },
            terms,
            last,
            applied: self.applied,
            members: self.members.clone(),
        }
    }
}

/// A process' view of its disk.
pub(crate) struct Reader(pub(crate) Rc<RefCell<Disk>>);

impl LogReader for Reader {
    fn read(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        let disk = self.0.borrow();
        if from <= disk.base.index {
            return Err(LogError::Collected(disk.base.index));
        }
        let skipped = (from - disk.base.index - 1) as usize;
        let wanted = disk.log.iter().skip(skipped).take((to - from) as usize);
        let mut bytes = 0;
        let fitting = wanted.take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.payload.len() as u64 + 1;
            first || bytes <= bytes_max
        });
        let entries: Vec<_> = fitting.cloned().collect();
        match entries.first() {
            Some(first) if first.position.index == from => Ok(entries),
            _ => Err(LogError::Unreadable(format!("entry {from} is not written yet"))),
        }
    }
}
