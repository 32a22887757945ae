//! Who wrote which part of a log, and where two logs part.
//!
//! # Epochs
//! An **epoch** is a stretch of a partition's log that had one writer which remembered all of it. It has a random id.
//! A new one begins
//! - when a log gets its first writer,
//! - at a promotion (REPLICAOF NO ONE, a failover),
//! - **whenever a writer starts that may have lost the end of its log**: after a crash, unless each entry was durable
//!   before anybody could see it. A follower may hold entries that the writer has lost; if the writer went on in the
//!   same epoch, it would write other entries under the same index, and nobody could tell.
//!
//! Terms grow by one with each epoch, so two nodes that were promoted independently of each other have the same term.
//! Only ids tell them apart: **ids are compared, never terms**.
//!
//! # The common point
//! An epoch's id is made after everything before it was written, and whoever holds the id has got it together with
//! what lies before. So two histories that share an epoch have the same log up to its beginning, and from there
//! on up to the shorter of their two ends within it. The last epoch they share thus gives the last entry that both
//! have: [`common_point`].

use std::fmt;

use haypile_types::Position;

use crate::EpochId;

/// Epochs that a history keeps; the oldest go first. Whoever parted from the log before that needs a checkpoint.
pub const HISTORY_EPOCHS_MAX: usize = 1000;

/// Largest term, and largest index of an entry. Nobody comes near it: what says more is not to be trusted, and one more can always be
/// counted.
pub const POSITION_MAX: u64 = 1 << 62;

/// A stretch of log with one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Term of its entries, at least 1.
    pub term: u64,
    /// Which one it is.
    pub id: EpochId,
    /// Index of its first entry, at least 1; the one after the log's end as long as it has none.
    pub first_index: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.term, self.first_index, self.id)
    }
}

/// Why epochs do not make a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// An epoch with term or first index 0.
    #[error("epoch {0} starts before the first entry")]
    Zero(Epoch),
    /// An epoch with a term or first index above [`POSITION_MAX`].
    #[error("epoch {0} is out of bounds")]
    Bounds(Epoch),
    /// An epoch that cannot follow the one before it: terms must grow, and first indexes must not go back.
    #[error("epoch {1} cannot follow {0}")]
    Order(Epoch, Epoch),
    /// An id that occurs twice.
    #[error("epoch {0} occurs twice")]
    Twice(Epoch),
    /// More than [`HISTORY_EPOCHS_MAX`].
    #[error("{0} epochs are too many")]
    TooMany(usize),
    /// An epoch announced at another place than the log's end.
    #[error("epoch {epoch} does not start after the log's end at {last_index}")]
    NotAtEnd {
        /// The announced epoch.
        epoch: Epoch,
        /// Index of the log's last entry.
        last_index: u64,
    },
}

/// The epochs of a log, oldest first. Terms grow, first indexes do not go back, ids are distinct.
///
/// A log that ends at index `e` knows no epoch that starts after `e + 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory(Vec<Epoch>);

impl EpochHistory {
    /// The history of a log that never had a writer.
    pub const fn new() -> Self {
        EpochHistory(Vec::new())
    }

    /// A history from what another node sent or a file held.
    pub fn from_epochs(epochs: Vec<Epoch>) -> Result<Self, HistoryError> {
        if epochs.len() > HISTORY_EPOCHS_MAX {
            return Err(HistoryError::TooMany(epochs.len()));
        }
        epochs.iter().try_for_each(check)?;
        for pair in epochs.windows(2) {
            if pair[1].term <= pair[0].term || pair[1].first_index < pair[0].first_index {
                return Err(HistoryError::Order(pair[0], pair[1]));
            }
        }
        let mut ids: Vec<_> = epochs.iter().map(|epoch| epoch.id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1])
            && let Some(twice) = epochs.iter().find(|epoch| epoch.id == pair[0])
        {
            return Err(HistoryError::Twice(*twice));
        }
        Ok(EpochHistory(epochs))
    }

    /// The epochs, oldest first.
    pub fn epochs(&self) -> &[Epoch] {
        &self.0
    }

    /// The newest epoch.
    pub fn current(&self) -> Option<&Epoch> {
        self.0.last()
    }

    /// Begins an epoch after the entry at `last_index`: at a promotion, or at the start of a writer that may have
    /// lost the end of its log. `id` must be fresh and random. The log up to `last_index` must be durable before, and the
    /// history before the epoch's first entry is shown to anybody.
    pub fn begin(&mut self, id: EpochId, last_index: u64) -> Epoch {
        let term = self.current().map_or(1, |epoch| epoch.term + 1);
        let epoch = Epoch {
            term,
            id,
            first_index: last_index + 1,
        };
        self.push(epoch);
        epoch
    }

    /// As [`EpochHistory::begin`], at the start of a writer. An epoch that has no entry here gives way to the new one, so that starts
    /// without a write leave nothing behind. Entries that somebody else has of it were lost here, and are told from what comes
    /// next as well by the epoch before it.
    pub fn begin_at_start(&mut self, id: EpochId, last_index: u64) -> Epoch {
        let empty = self.0.pop_if(|epoch| epoch.first_index > last_index);
        let epoch = Epoch {
            term: empty
                .map_or(0, |epoch| epoch.term)
                .max(self.current().map_or(0, |epoch| epoch.term))
                + 1,
            id,
            first_index: last_index + 1,
        };
        self.push(epoch);
        epoch
    }

    /// Adds an epoch that the source announced in its stream, at a log that ends at `last_index`.
    ///
    /// The current epoch announced again changes nothing.
    pub fn announce(&mut self, epoch: Epoch, last_index: u64) -> Result<(), HistoryError> {
        if self.current() == Some(&epoch) {
            return Ok(());
        }
        if self.0.iter().any(|known| known.id == epoch.id) {
            return Err(HistoryError::Twice(epoch));
        }
        check(&epoch)?;
        if epoch.first_index != last_index + 1 {
            return Err(HistoryError::NotAtEnd { epoch, last_index });
        }
        if let Some(current) = self.current()
            && (epoch.term <= current.term || epoch.first_index < current.first_index)
        {
            return Err(HistoryError::Order(*current, epoch));
        }
        self.push(epoch);
        Ok(())
    }

    fn push(&mut self, epoch: Epoch) {
        if self.0.len() == HISTORY_EPOCHS_MAX {
            self.0.remove(0);
        }
        self.0.push(epoch);
    }

    /// The epoch that the entry at `index` belongs to; `None` before the first that is kept.
    pub fn epoch_of(&self, index: u64) -> Option<&Epoch> {
        let after = self.0.partition_point(|epoch| epoch.first_index <= index);
        self.0[..after].last()
    }

    /// The position of the entry at `index`; [`Position::ZERO`] for index 0, `None` before the first epoch kept.
    pub fn position_of(&self, index: u64) -> Option<Position> {
        if index == 0 {
            return Some(Position::ZERO);
        }
        Some(Position::new(self.epoch_of(index)?.term, index))
    }

    /// What of this history belongs to the log up to `last_index`: an epoch that starts right after it included.
    pub fn up_to(&self, last_index: u64) -> EpochHistory {
        let after = self
            .0
            .partition_point(|epoch| epoch.first_index <= last_index.saturating_add(1));
        EpochHistory(self.0[..after].to_vec())
    }

    /// The first epoch that starts after the one with this id; `None` also if the id is unknown.
    pub fn after(&self, id: EpochId) -> Option<&Epoch> {
        let at = self.0.iter().position(|epoch| epoch.id == id)?;
        self.0.get(at + 1)
    }

    /// Index of the last entry within the epoch with this id, of a log that ends at `last_index`; one before the epoch's
    /// first index if it has none. `None` if the id is unknown.
    pub fn end_of_epoch(&self, id: EpochId, last_index: u64) -> Option<u64> {
        let at = self.0.iter().position(|epoch| epoch.id == id)?;
        Some(self.end_of(at, last_index))
    }

    /// Index of the last entry in the epoch at place `at` of a log that ends at `last_index`.
    fn end_of(&self, at: usize, last_index: u64) -> u64 {
        self.0
            .get(at + 1)
            .map_or(last_index, |next| last_index.min(next.first_index - 1))
    }
}

fn check(epoch: &Epoch) -> Result<(), HistoryError> {
    match (epoch.term, epoch.first_index) {
        (0, _) | (_, 0) => Err(HistoryError::Zero(*epoch)),
        (1..=POSITION_MAX, 1..=POSITION_MAX) => Ok(()),
        _ => Err(HistoryError::Bounds(*epoch)),
    }
}

/// The last position that two logs have in common, each given by its history and the index of its last entry.
///
/// `None` if they share no epoch: then nothing is known to be common.
pub fn common_point(left: (&EpochHistory, u64), right: (&EpochHistory, u64)) -> Option<Position> {
    let (mut l, mut r) = (left.0.0.len(), right.0.0.len());
    // A shared epoch has the same term on both sides, and terms grow: walk both back together.
    while l > 0 && r > 0 {
        let (a, b) = (left.0.0[l - 1], right.0.0[r - 1]);
        if a == b {
            let index = left.0.end_of(l - 1, left.1).min(right.0.end_of(r - 1, right.1));
            return left.0.position_of(index).or_else(|| right.0.position_of(index));
        }
        match a.term.cmp(&b.term) {
            std::cmp::Ordering::Greater => l -= 1,
            std::cmp::Ordering::Less => r -= 1,
            std::cmp::Ordering::Equal => (l, r) = (l - 1, r - 1),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(term: u64, id: u128, first_index: u64) -> Epoch {
        Epoch {
            term,
            id: EpochId(id),
            first_index,
        }
    }

    fn history(epochs: &[(u64, u128, u64)]) -> EpochHistory {
        EpochHistory::from_epochs(epochs.iter().map(|&(t, id, first)| epoch(t, id, first)).collect()).unwrap()
    }

    #[test]
    fn a_promoted_replica_parts_from_the_old_primary_where_it_was_promoted() {
        let old = history(&[(1, 10, 1)]);
        let promoted = history(&[(1, 10, 1), (2, 20, 91)]);
        assert_eq!(common_point((&old, 100), (&promoted, 120)), Some(Position::new(1, 90)));
        assert_eq!(common_point((&old, 80), (&promoted, 120)), Some(Position::new(1, 80)));
    }

    #[test]
    fn starts_without_a_write_leave_one_epoch_behind() {
        let mut log = history(&[(1, 10, 1)]);
        for n in 0..3 * HISTORY_EPOCHS_MAX as u128 {
            log.begin_at_start(EpochId(100 + n), 90);
        }
        assert_eq!(log.epochs().len(), 2);
        let term = 1 + 3 * HISTORY_EPOCHS_MAX as u64;
        assert_eq!(
            log.current().map(|epoch| (epoch.term, epoch.first_index)),
            Some((term, 91))
        );
        assert_eq!(EpochHistory::from_epochs(log.epochs().to_vec()), Ok(log.clone()));
        // A follower has entries that were written and lost between two of these starts.
        let ahead = history(&[(1, 10, 1), (2, 100, 91)]);
        assert_eq!(common_point((&log, 95), (&ahead, 95)), Some(Position::new(1, 90)));
        assert_eq!(common_point((&log, 95), (&ahead, 90)), Some(Position::new(1, 90)));
        let mut empty = EpochHistory::new();
        empty.begin_at_start(EpochId(1), 0);
        empty.begin_at_start(EpochId(2), 0);
        assert_eq!(empty.epochs(), [epoch(2, 2, 1)]);
    }

    #[test]
    fn two_promotions_have_the_same_term_and_still_differ() {
        let left = history(&[(1, 10, 1), (2, 20, 91)]);
        let right = history(&[(1, 10, 1), (2, 30, 91)]);
        assert_eq!(common_point((&left, 100), (&right, 100)), Some(Position::new(1, 90)));
    }

    #[test]
    fn strangers_have_nothing_in_common() {
        let (left, right) = (history(&[(1, 10, 1)]), history(&[(1, 20, 1)]));
        assert_eq!(common_point((&left, 5), (&right, 5)), None);
        assert_eq!(common_point((&left, 5), (&EpochHistory::new(), 0)), None);
    }

    #[test]
    fn a_shared_epoch_without_entries_still_counts() {
        let left = history(&[(1, 10, 1), (2, 20, 91), (3, 30, 91)]);
        let right = history(&[(1, 10, 1), (2, 20, 91), (3, 40, 91)]);
        assert_eq!(common_point((&left, 95), (&right, 99)), Some(Position::new(1, 90)));
    }

    #[test]
    fn what_is_not_a_history_is_refused() {
        let bad = |epochs: &[Epoch]| EpochHistory::from_epochs(epochs.to_vec()).unwrap_err();
        assert!(matches!(bad(&[epoch(0, 1, 1)]), HistoryError::Zero(_)));
        assert!(matches!(bad(&[epoch(1, 1, 0)]), HistoryError::Zero(_)));
        assert!(matches!(bad(&[epoch(POSITION_MAX + 1, 1, 1)]), HistoryError::Bounds(_)));
        assert!(matches!(bad(&[epoch(1, 1, u64::MAX)]), HistoryError::Bounds(_)));
        assert!(matches!(
            bad(&[epoch(2, 1, 1), epoch(2, 2, 5)]),
            HistoryError::Order(..)
        ));
        assert!(matches!(
            bad(&[epoch(1, 1, 5), epoch(2, 2, 4)]),
            HistoryError::Order(..)
        ));
        assert!(matches!(bad(&[epoch(1, 1, 1), epoch(2, 1, 4)]), HistoryError::Twice(_)));
        let many: Vec<_> = (1..=1001).map(|n| epoch(n, u128::from(n), 1)).collect();
        assert!(matches!(bad(&many), HistoryError::TooMany(1001)));
    }

    #[test]
    fn an_epoch_is_announced_at_the_end_of_the_log_only() {
        let mut log = history(&[(1, 10, 1)]);
        assert!(matches!(
            log.announce(epoch(2, 20, 7), 5),
            Err(HistoryError::NotAtEnd { .. })
        ));
        assert!(matches!(log.announce(epoch(1, 20, 6), 5), Err(HistoryError::Order(..))));
        log.announce(epoch(2, 20, 6), 5).unwrap();
        log.announce(epoch(2, 20, 6), 9).unwrap();
        assert!(matches!(log.announce(epoch(1, 10, 10), 9), Err(HistoryError::Twice(_))));
        assert_eq!(log, history(&[(1, 10, 1), (2, 20, 6)]));
    }

    #[test]
    fn a_long_history_forgets_its_oldest_epochs() {
        let mut log = EpochHistory::new();
        for n in 0..1100 {
            log.begin(EpochId(n), n as u64);
        }
        assert_eq!(log.epochs().len(), HISTORY_EPOCHS_MAX);
        assert_eq!(log.epoch_of(50), None);
        assert_eq!(log.position_of(0), Some(Position::ZERO));
        assert_eq!(log.current().unwrap().term, 1100);
        EpochHistory::from_epochs(log.epochs().to_vec()).unwrap();
    }

    /// A log as it really is: the id of each entry, and who may write.
    #[derive(Clone, Debug, Default)]
    struct Node {
        entries: Vec<(u64, u64)>,
        history: EpochHistory,
        writer: bool,
    }

    impl Node {
        fn end(&self) -> u64 {
            self.entries.len() as u64
        }

        fn common(&self, other: &Node) -> usize {
            let pairs = self.entries.iter().zip(&other.entries);
            pairs.take_while(|(a, b)| a == b).count()
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Write(usize, u8),
        Promote(usize),
        Follow(usize, usize, u8),
        LoseEnd(usize, u8),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let node = 0..5usize;
        let op = prop_oneof![
            4 => (node.clone(), 1..6u8).prop_map(|(n, count)| Op::Write(n, count)),
            1 => node.clone().prop_map(Op::Promote),
            4 => (node.clone(), node.clone(), 0..10u8).prop_map(|(a, b, count)| Op::Follow(a, b, count)),
            1 => (node, 1..5u8).prop_map(|(n, count)| Op::LoseEnd(n, count)),
        ];
        prop::collection::vec(op, 1..80)
    }

    /// Lets the operations happen to five nodes. A follower continues where it has something in common with its source
    /// and takes all of it (a checkpoint) otherwise; a writer that lost the end of its log begins an epoch.
    fn run(ops: Vec<Op>) -> Vec<Node> {
        let mut nodes = vec![Node::default(); 5];
        let mut fresh = 0u64;
        let mut next = || {
            fresh += 1;
            fresh
        };
        for op in ops {
            match op {
                Op::Write(n, count) => {
                    let node = &mut nodes[n];
                    if node.writer {
                        let term = node.history.current().unwrap().term;
                        node.entries.extend((0..count).map(|_| (term, next())));
                    }
                }
                Op::Promote(n) => {
                    let node = &mut nodes[n];
                    node.history.begin(EpochId(next().into()), node.end());
                    node.writer = true;
                }
                Op::Follow(a, b, count) if a != b => {
                    let source = nodes[b].clone();
                    let node = &mut nodes[a];
                    node.writer = false;
                    if node.common(&source) < node.entries.len() {
                        node.entries.clone_from(&source.entries);
                    } else {
                        let end = source.entries.len().min(node.entries.len() + usize::from(count));
                        node.entries.extend_from_slice(&source.entries[node.entries.len()..end]);
                    }
                    node.history = source.history.up_to(node.end());
                }
                Op::LoseEnd(n, count) => {
                    let node = &mut nodes[n];
                    let left = node.entries.len().saturating_sub(count.into());
                    node.entries.truncate(left);
                    node.history = node.history.up_to(node.end());
                    if node.writer {
                        node.history.begin_at_start(EpochId(next().into()), node.end());
                    }
                }
                Op::Follow(..) => {}
            }
        }
        nodes
    }

    proptest! {
        #[test]
        fn the_common_point_is_the_end_of_the_longest_common_prefix(ops in ops()) {
            let nodes = run(ops);
            for a in &nodes {
                EpochHistory::from_epochs(a.history.epochs().to_vec()).unwrap();
                for b in &nodes {
                    let found = common_point((&a.history, a.end()), (&b.history, b.end()));
                    prop_assert_eq!(found, common_point((&b.history, b.end()), (&a.history, a.end())));
                    let prefix = a.common(b);
                    prop_assert_eq!(found.map_or(0, |p| p.index as usize), prefix);
                    if let Some(found) = found && prefix > 0 {
                        prop_assert_eq!(found.term, a.entries[prefix - 1].0);
                    }
                }
            }
        }
    }
}
