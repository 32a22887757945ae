//! What a simulated node keeps over a crash.

use std::collections::BTreeMap;

use haypile_sync::role::RoleMachine;
use haypile_sync::source::LogView;
use haypile_sync::{EpochHistory, ErrorKind, Failure, LocalPosition, Tenure};
use haypile_types::Position;

use crate::Address;

/// An entry of the log. Values are never written twice, so equal values mean a common past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term of its epoch.
    pub term: u64,
    /// What was written.
    pub value: u64,
}

/// What a node keeps over a crash, and where it loses something.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Who wrote the log. Durable at once.
    pub history: EpochHistory,
    /// All entries ever applied: the store. From `log_first` on it is the log too.
    pub data: Vec<Entry>,
    /// Index of the first entry that the log still has.
    pub log_first: u64,
    /// Index up to which the log is durable.
    pub durable: u64,
    /// Files copied so far, for an installation that has not happened yet.
    pub incoming: BTreeMap<String, Vec<u8>>,
    /// Room for files, in bytes.
    pub free_bytes: u64,
    /// What is followed.
    pub following: Option<Address>,
    /// The tenure of the partition's role, as long as the process runs.
    pub tenure: Tenure,
    /// No more entries are taken until the data is replaced, or the process starts anew.
    pub poisoned: bool,
}

impl Disk {
    /// An empty one.
    pub fn new(following: Option<Address>) -> Self {
        Disk {
            history: EpochHistory::new(),
            data: Vec::new(),
            log_first: 1,
            durable: 0,
            incoming: BTreeMap::new(),
            free_bytes: u64::MAX,
            following,
            tenure: RoleMachine::FIRST,
            poisoned: false,
        }
    }

    /// Whether the partition takes what belongs to this tenure.
    pub fn check_tenure(&self, tenure: Tenure) -> Result<(), Failure> {
        match self.following.is_some() && self.tenure == tenure {
            true => Ok(()),
            false => Err(Failure::new(
                ErrorKind::PeerClosed,
                "the partition has another role by now",
            )),
        }
    }

    /// Takes another history for a log that ends at `end`, as the real partition does.
    pub fn set_history(&mut self, tenure: Tenure, history: &EpochHistory, end: u64) -> Result<(), Failure> {
        self.check_tenure(tenure)?;
        let last = self.position().end;
        if last.index != end || history.position_of(end).is_some_and(|position| position != last) {
            return Err(Failure::new(ErrorKind::OutOfOrder, "the log is another"));
        }
        self.history = history.clone();
        Ok(())
    }

    /// Index of the last entry.
    pub fn last(&self) -> u64 {
        self.data.len() as u64
    }

    /// The entry at `index`, which is there.
    pub fn entry(&self, index: u64) -> Entry {
        self.data[index as usize - 1]
    }

    /// What TrySync says of it.
    pub fn position(&self) -> LocalPosition {
        let last = self.last();
        let end = if last == 0 {
            Position::ZERO
        } else {
            Position::new(self.entry(last).term, last)
        };
        LocalPosition {
            end,
            durable: self.durable,
            applied: last,
            history: self.history.clone(),
            poisoned: self.poisoned,
        }
    }

    /// What TrySync is answered from.
    pub fn view(&self) -> LogView {
        LogView {
            history: self.history.clone(),
            first: self.log_first,
            last: self.last(),
            writer: self.following.is_none(),
        }
    }

    /// Takes away what was not durable.
    pub fn crash(&mut self) {
        self.data.truncate(self.durable as usize);
        self.history = self.history.up_to(self.durable);
        self.poisoned = false;
    }

    /// Entries that both have from the first one on.
    pub fn common(&self, other: &Disk) -> u64 {
        let pairs = self.data.iter().zip(&other.data);
        pairs.take_while(|(a, b)| a == b).count() as u64
    }
}
