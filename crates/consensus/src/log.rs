//! The log as raft sees it: the terms of all entries, a tail in memory, and the disk behind it.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use haypile_types::Position;
use raft::eraftpb::{ConfState, Entry as RaftEntry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::entry::Entry;
use crate::error::LogError;
use crate::message::ReplicaNumber;

/// Reads entries that are on disk.
pub trait LogReader {
    /// The entries from `from` on and before `to`, in order: at least one, and no more than have `bytes_max` bytes together.
    ///
    /// # Errors
    /// The log begins later, or cannot be read.
    fn read(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>, LogError>;
}

/// What raft is told of the log.
pub(crate) struct Log<L> {
    reader: L,
    initial: RaftState,
    /// The entry before the first, and then the first entry of each later term.
    terms: Vec<Position>,
    /// The newest entries, without gaps, those on disk included as long as there is room.
    tail: VecDeque<RaftEntry>,
    tail_bytes: usize,
    last: Position,
    /// Who has asked for entries that are not there any more, since they were told of it.
    behind: RefCell<BTreeSet<ReplicaNumber>>,
}

impl<L> Log<L> {
    /// A log whose entries from `terms[0].index + 1` to `last` are on disk.
    pub(crate) fn new(reader: L, terms: Vec<Position>, last: Position, hard: HardState, conf: ConfState) -> Self {
        Log {
            reader,
            initial: RaftState::new(hard, conf),
            terms,
            tail: VecDeque::new(),
            tail_bytes: 0,
            last,
            behind: RefCell::default(),
        }
    }

    /// True if this follower needs entries that are not there any more, and has not been told so since it last asked.
    pub(crate) fn take_behind(&mut self, replica: ReplicaNumber) -> bool {
        self.behind.get_mut().remove(&replica)
    }

    /// Nobody is known to be behind: somebody else leads.
    pub(crate) fn forget_behind(&mut self) {
        self.behind.get_mut().clear();
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// The entry before the first that there is.
    pub(crate) fn before(&self) -> Position {
        self.terms.first().copied().unwrap_or_default()
    }

    /// The term of an entry; `None` if it is not there.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index > self.last.index || index < self.before().index {
            return None;
        }
        let after = self.terms.partition_point(|first| first.index <= index);
        self.terms.get(after.checked_sub(1)?).map(|first| first.term)
    }

    /// Adds entries, which replace those from the first one's index on.
    pub(crate) fn push(&mut self, entries: &[RaftEntry]) {
        let Some(first) = entries.first() else { return };
        assert!(
            first.index > self.before().index && first.index <= self.last.index + 1,
            "entry {}:{} cannot follow a log that ends at {}",
            first.term,
            first.index,
            self.last
        );
        while self.tail.back().is_some_and(|entry| entry.index >= first.index) {
            let entry = self.tail.pop_back();
            self.tail_bytes -= entry.map_or(0, |entry| bytes_of(&entry));
        }
        if self.tail.is_empty() {
            self.tail_bytes = 0;
        }
        let kept = self.terms.partition_point(|position| position.index < first.index);
        self.terms.truncate(kept.max(1));
        for entry in entries {
            if self.terms.last().is_none_or(|last| last.term != entry.term) {
                self.terms.push(Position::new(entry.term, entry.index));
            }
            self.tail_bytes += bytes_of(entry);
            self.tail.push_back(entry.clone());
            self.last = Position::new(entry.term, entry.index);
        }
    }

    /// Lets go of what is on disk and applied up to `index`, but for the newest `bytes_max` bytes.
    pub(crate) fn trim(&mut self, index: u64, bytes_max: usize) {
        while self.tail_bytes > bytes_max && self.tail.front().is_some_and(|entry| entry.index <= index) {
            let entry = self.tail.pop_front();
            self.tail_bytes -= entry.map_or(0, |entry| bytes_of(&entry));
        }
    }

    /// The log on disk begins after the entry with this index by now.
    pub(crate) fn collected(&mut self, before: u64) {
        let Some(term) = self.term_of(before).filter(|_| before > self.before().index) else {
            return;
        };
        let later = self.terms.partition_point(|first| first.index <= before);
        self.terms.drain(..later);
        self.terms.insert(0, Position::new(term, before));
    }
}

/// Of an entry, what it takes in memory beside its payload included.
fn bytes_of(entry: &RaftEntry) -> usize {
    entry.data.len() + size_of::<RaftEntry>()
}

impl<L: LogReader> Log<L> {
    fn on_disk(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<RaftEntry>, LogError> {
        let mut timestamp = Bytes::new();
        let entries = self.reader.read(low, high, bytes_max)?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.into_raft(&mut timestamp))
            .collect())
    }
}

impl<L: LogReader> Storage for Log<L> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<RaftEntry>> {
        assert!(
            high <= self.last.index + 1,
            "entries before {high} are asked of a log that ends at {}",
            self.last
        );
        if low <= self.before().index {
            return Err(StorageError::Compacted.into());
        }
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let in_tail = self.tail.front().is_some_and(|front| front.index <= low);
        if !in_tail {
            let end = self.tail.front().map_or(high, |front| front.index.min(high));
            return self.on_disk(low, end, bytes_max).map_err(|error| match error {
                LogError::Collected(_) => StorageError::Compacted.into(),
                LogError::Unreadable(cause) => {
                    tracing::warn!(%cause, "entries cannot be read from the log for now");
                    StorageError::LogTemporarilyUnavailable.into()
                }
            });
        }
        let skipped = self.tail.front().map_or(0, |front| low - front.index) as usize;
        let mut bytes = 0u64;
        let wanted = self.tail.iter().skip(skipped).take((high - low) as usize);
        let fitting = wanted.take_while(|entry| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(entry.data.len() as u64 + 1);
            first || bytes <= bytes_max
        });
        Ok(fitting.cloned().collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.before().index {
            return Err(StorageError::Compacted.into());
        }
        self.term_of(index).ok_or_else(|| StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before().index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last.index)
    }

    /// Raft's own snapshots are not used. Whoever needs one is told, copies a checkpoint by itself, and begins anew with that.
    fn snapshot(&self, _: u64, to: u64) -> raft::Result<Snapshot> {
        self.behind.borrow_mut().insert(to);
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl LogReader for Nothing {
        fn read(&self, from: u64, _: u64, _: u64) -> Result<Vec<Entry>, LogError> {
            Err(LogError::Collected(from))
        }
    }

    fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<RaftEntry> {
        let entry = |index| RaftEntry {
            term,
            index,
            data: Bytes::from_static(b"12345678"),
            ..RaftEntry::default()
        };
        indexes.map(entry).collect()
    }

    fn log() -> Log<Nothing> {
        let mut log = Log::new(
            Nothing,
            vec![Position::ZERO],
            Position::ZERO,
            HardState::default(),
            ConfState::default(),
        );
        log.push(&entries(1, 1..=3));
        log.push(&entries(2, 4..=6));
        log.push(&entries(5, 7..=9));
        log
    }

    fn terms(log: &Log<Nothing>) -> Vec<Option<u64>> {
        (0..=10).map(|index| log.term_of(index)).collect()
    }

    #[test]
    fn each_entry_has_its_term() {
        let expected = [0, 1, 1, 1, 2, 2, 2, 5, 5, 5].map(Some);
        assert_eq!(terms(&log()), [&expected[..], &[None]].concat());
    }

    #[test]
    fn entries_take_the_place_of_others() {
        let mut log = log();
        log.push(&entries(6, 5..=5));
        assert_eq!(log.last(), Position::new(6, 5));
        assert_eq!(&terms(&log)[3..7], &[Some(1), Some(2), Some(6), None]);
        log.push(&entries(7, 1..=2));
        assert_eq!(&terms(&log)[..4], &[Some(0), Some(7), Some(7), None]);
    }

    #[test]
    fn what_is_collected_is_gone_but_for_its_last_term() {
        let mut log = log();
        log.collected(5);
        assert_eq!(&terms(&log)[4..8], &[None, Some(2), Some(2), Some(5)]);
        log.collected(2);
        assert_eq!(log.first_index().unwrap(), 6, "it does not come back");
        assert!(log.entries(5, 7, None, GetEntriesContext::empty(false)).is_err());
        assert_eq!(
            log.entries(6, 8, None, GetEntriesContext::empty(false)).unwrap().len(),
            2
        );
    }

    #[test]
    fn only_what_is_done_with_leaves_the_memory() {
        let mut log = log();
        log.trim(4, 0);
        let read = |from, to| log.entries(from, to, None, GetEntriesContext::empty(false));
        assert_eq!(read(5, 10).unwrap().len(), 5);
        assert!(read(4, 10).is_err(), "it is asked of the disk");
    }

    #[test]
    fn a_message_has_one_entry_at_least() {
        let log = log();
        let read = |max: u64| {
            log.entries(1, 10, Some(max), GetEntriesContext::empty(false))
                .unwrap()
                .len()
        };
        assert_eq!((read(0), read(17), read(18), read(1 << 20)), (1, 1, 2, 9));
    }
}
