//! Where a follower can go on, or why it needs a checkpoint.

use haypile_types::Position;

use crate::message::{CheckpointReason, LocalPosition, Refusal, TrySyncReply};
use crate::{EpochHistory, NotReady, common_point};

/// A source's log, as far as TrySync needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    /// Who wrote it.
    pub history: EpochHistory,
    /// Index of the first entry that the log still has; one after `last` if it has none.
    pub first: u64,
    /// Index of the last entry.
    pub last: u64,
    /// The source writes this log itself: what it does not have, nobody should have. False while it is a follower.
    pub writer: bool,
}

/// Answers TrySync: where the follower can go on, or why it cannot.
///
/// A follower goes on only if its whole log is a beginning of ours. One that is ahead of us, or that has other entries
/// than we, never does; nor does one that takes no more entries.
pub fn answer(log: &LogView, follower: &LocalPosition) -> TrySyncReply {
    match place(log, follower) {
        TrySyncReply::Continue { .. } if follower.poisoned => TrySyncReply::Checkpoint(CheckpointReason::Poisoned),
        reply => reply,
    }
}

/// The answer as far as it follows from the logs.
fn place(log: &LogView, follower: &LocalPosition) -> TrySyncReply {
    let end = follower.end;
    if end == Position::ZERO {
        return continue_or_copy(log, 1, CheckpointReason::Empty);
    }
    if follower.history.position_of(end.index) != Some(end) || follower.durable > end.index {
        let cause = format!("the log's end {end} is not in the history, or before what is durable");
        return TrySyncReply::Refused(Refusal::Invalid(cause));
    }
    let Some(common) = common_point((&log.history, log.last), (&follower.history, end.index)) else {
        return TrySyncReply::Checkpoint(CheckpointReason::ForeignHistory);
    };
    if common == end {
        let wanted = end.index + 1;
        return continue_or_copy(
            log,
            wanted,
            CheckpointReason::LogCollected {
                wanted,
                first: log.first,
            },
        );
    }
    // We end within the follower's history, and follow somebody who may have the rest: wait for that.
    if common.index == log.last && !log.writer {
        return TrySyncReply::Refused(Refusal::NotReady(NotReady::Behind));
    }
    match follower.history.position_of(common.index + 1) {
        Some(lost_first) => TrySyncReply::Checkpoint(CheckpointReason::Diverged {
            common,
            lost_first,
            lost_last: end,
        }),
        None => TrySyncReply::Checkpoint(CheckpointReason::ForeignHistory),
    }
}

/// An empty follower goes on at the first entry, if we have that and have something: a log from its beginning is all
/// the data there is.
fn continue_or_copy(log: &LogView, from: u64, otherwise: CheckpointReason) -> TrySyncReply {
    if from < log.first {
        return TrySyncReply::Checkpoint(otherwise);
    }
    let history = log.history.up_to(from - 1);
    if history.current().is_none() {
        // Nobody has ever written here, or what is known begins later.
        return match log.history.current() {
            None => TrySyncReply::Refused(Refusal::NotReady(NotReady::Loading)),
            Some(_) => TrySyncReply::Checkpoint(otherwise),
        };
    }
    TrySyncReply::Continue { from, history }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, EpochId};

    fn history(epochs: &[(u64, u128, u64)]) -> EpochHistory {
        let epoch = |&(term, id, first_index): &(u64, u128, u64)| Epoch {
            term,
            id: EpochId(id),
            first_index,
        };
        EpochHistory::from_epochs(epochs.iter().map(epoch).collect()).unwrap()
    }

    fn source() -> LogView {
        LogView {
            history: history(&[(1, 10, 1), (2, 20, 91)]),
            first: 50,
            last: 120,
            writer: true,
        }
    }

    fn at(term: u64, index: u64, epochs: &[(u64, u128, u64)]) -> LocalPosition {
        LocalPosition {
            end: Position::new(term, index),
            durable: index,
            applied: index,
            history: history(epochs),
            poisoned: false,
        }
    }

    #[test]
    fn a_replica_of_the_dead_primary_goes_on() {
        let reply = answer(&source(), &at(1, 80, &[(1, 10, 1)]));
        assert_eq!(
            reply,
            TrySyncReply::Continue {
                from: 81,
                history: history(&[(1, 10, 1)])
            }
        );
        let reply = answer(&source(), &at(1, 90, &[(1, 10, 1)]));
        assert_eq!(
            reply,
            TrySyncReply::Continue {
                from: 91,
                history: source().history
            }
        );
        let reply = answer(&source(), &at(2, 120, &[(1, 10, 1), (2, 20, 91)]));
        assert_eq!(
            reply,
            TrySyncReply::Continue {
                from: 121,
                history: source().history
            }
        );
    }

    #[test]
    fn one_that_takes_no_more_entries_needs_a_checkpoint() {
        let poisoned = |position| LocalPosition {
            poisoned: true,
            ..position
        };
        let reason = CheckpointReason::Poisoned;
        let reply = answer(&source(), &poisoned(at(1, 80, &[(1, 10, 1)])));
        assert_eq!(reply, TrySyncReply::Checkpoint(reason));
        // What it has and nobody else is told all the same.
        let ahead = at(1, 95, &[(1, 10, 1)]);
        assert_eq!(answer(&source(), &poisoned(ahead.clone())), answer(&source(), &ahead));
    }

    #[test]
    fn one_that_was_promoted_without_writing_goes_on() {
        let reply = answer(&source(), &at(1, 90, &[(1, 10, 1), (2, 99, 91)]));
        assert_eq!(
            reply,
            TrySyncReply::Continue {
                from: 91,
                history: source().history
            }
        );
    }

    #[test]
    fn an_old_primary_with_writes_of_its_own_is_told_which_are_lost() {
        let reply = answer(&source(), &at(1, 100, &[(1, 10, 1)]));
        let reason = CheckpointReason::Diverged {
            common: Position::new(1, 90),
            lost_first: Position::new(1, 91),
            lost_last: Position::new(1, 100),
        };
        assert_eq!(reply, TrySyncReply::Checkpoint(reason));
    }

    #[test]
    fn a_collected_log_needs_a_checkpoint() {
        let reply = answer(&source(), &at(1, 48, &[(1, 10, 1)]));
        assert_eq!(
            reply,
            TrySyncReply::Checkpoint(CheckpointReason::LogCollected { wanted: 49, first: 50 })
        );
        assert!(matches!(
            answer(&source(), &at(1, 49, &[(1, 10, 1)])),
            TrySyncReply::Continue { from: 50, .. }
        ));
    }

    #[test]
    fn ahead_is_never_ok() {
        let ahead = at(2, 130, &[(1, 10, 1), (2, 20, 91)]);
        let reason = CheckpointReason::Diverged {
            common: Position::new(2, 120),
            lost_first: Position::new(2, 121),
            lost_last: Position::new(2, 130),
        };
        assert_eq!(answer(&source(), &ahead), TrySyncReply::Checkpoint(reason));
        let follower = LogView {
            writer: false,
            ..source()
        };
        assert_eq!(
            answer(&follower, &ahead),
            TrySyncReply::Refused(Refusal::NotReady(NotReady::Behind))
        );
    }

    #[test]
    fn the_empty_and_the_foreign_take_a_checkpoint() {
        let empty = LocalPosition::default();
        assert_eq!(
            answer(&source(), &empty),
            TrySyncReply::Checkpoint(CheckpointReason::Empty)
        );
        let whole = LogView { first: 1, ..source() };
        assert!(matches!(answer(&whole, &empty), TrySyncReply::Continue { from: 1, .. }));
        // A primary that never wrote anything has an epoch and nothing to lose.
        let fresh = LocalPosition {
            history: history(&[(1, 77, 1)]),
            ..LocalPosition::default()
        };
        assert!(matches!(answer(&whole, &fresh), TrySyncReply::Continue { from: 1, .. }));
        let foreign = at(1, 5, &[(1, 77, 1)]);
        assert_eq!(
            answer(&whole, &foreign),
            TrySyncReply::Checkpoint(CheckpointReason::ForeignHistory)
        );
    }

    #[test]
    fn a_source_without_a_history_is_not_ready() {
        let blank = LogView {
            history: EpochHistory::new(),
            first: 1,
            last: 0,
            writer: false,
        };
        let reply = answer(&blank, &LocalPosition::default());
        assert_eq!(reply, TrySyncReply::Refused(Refusal::NotReady(NotReady::Loading)));
    }

    #[test]
    fn a_position_that_contradicts_its_history_is_refused() {
        let bad = at(2, 80, &[(1, 10, 1)]);
        assert!(matches!(
            answer(&source(), &bad),
            TrySyncReply::Refused(Refusal::Invalid(_))
        ));
    }
}
