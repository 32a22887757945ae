//! What a replica of a simulated group has on disk.

use std::cell::RefCell;
use std::rc::Rc;

use haypile_consensus::{Ballot, Entry, LogError, LogReader, Start, Work};
use haypile_types::{Position, Random};

use crate::rng::Rng;

/// What one replica has on disk. It outlives the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// All entries since the first; the log is not collected.
    pub(crate) log: Vec<Entry>,
    /// How many of them outlive the machine.
    synced: usize,
    ballot: Ballot,
    synced_ballot: Ballot,
    /// The store: which entries it has applied, and outlives the machine with.
    pub(crate) applied: u64,
}

impl Disk {
    /// Writes what is to be written, and syncs it.
    pub(crate) fn carry_out(&mut self, work: &Work) {
        self.write(work, work.entries.len());
        self.synced = self.log.len();
        self.synced_ballot = self.ballot;
    }

    fn write(&mut self, work: &Work, entries: usize) {
        if let Some(ballot) = work.ballot {
            self.ballot = ballot;
            if work.must_sync_ballot {
                self.synced_ballot = ballot;
            }
        }
        let Some(first) = work.entries.first() else { return };
        let kept = first.position.index as usize - 1;
        assert!(
            kept as u64 >= self.applied,
            "entries are taken away that were applied: from {}, {} were",
            kept + 1,
            self.applied
        );
        // What is cut off is gone for good before anything is put in its place.
        self.log.truncate(kept);
        self.synced = self.synced.min(kept);
        self.log.extend_from_slice(&work.entries[..entries]);
    }

    /// The process is killed while this is being written: some of it may have come to be.
    pub(crate) fn killed_within(&mut self, work: &Work, rng: &mut Rng) {
        if rng.chance(500) {
            let entries = rng.below(work.entries.len() as u64 + 1) as usize;
            self.write(work, entries);
        }
    }

    /// The machine loses what was not synced.
    pub(crate) fn lose_power(&mut self) {
        self.log.truncate(self.synced);
        self.ballot = self.synced_ballot;
    }

    pub(crate) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// What a process finds that starts on it.
    pub(crate) fn start(&self) -> Start {
        let mut terms = vec![Position::ZERO];
        for entry in &self.log {
            if terms.last().is_some_and(|last| last.term != entry.position.term) {
                terms.push(entry.position);
            }
        }
        Start {
            ballot: self.ballot,
            terms,
            last: self.log.last().map_or(Position::ZERO, |entry| entry.position),
            applied: self.applied,
        }
    }
}

/// A process' view of its disk.
pub(crate) struct Reader(pub(crate) Rc<RefCell<Disk>>);

impl LogReader for Reader {
    fn read(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        let disk = self.0.borrow();
        let wanted = disk.log.iter().skip(from as usize - 1).take((to - from) as usize);
        let mut bytes = 0;
        let fitting = wanted.take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.payload.len() as u64 + 1;
            first || bytes <= bytes_max
        });
        let entries: Vec<_> = fitting.cloned().collect();
        assert!(
            entries.first().is_some_and(|entry| entry.position.index == from),
            "entry {from} is asked of a disk that has {}",
            disk.log.len()
        );
        Ok(entries)
    }
}
