//! Turns that another leader has cut off this replica's log. That decides nothing yet: whoever has logged their entries may lead again and have
//! them committed. Their clients are told when an entry is committed where theirs stood.

use haypile_types::Position;

use crate::CommitError;
use crate::commit::PendingTurn;
use crate::partition::Writer;
use crate::task::Task;
use crate::writing::Finished;

/// A turn that was cut off.
pub(crate) struct CutOff {
    /// Index of its first entry, and its last entry.
    first: u64,
    last: Position,
    /// Some of its entries are committed.
    some: bool,
    since_us: u64,
    tasks: Vec<Box<dyn Task>>,
}

impl CutOff {
    /// A turn whose entries from `first` on are in this replica's log no more, or not all of them; whether some are committed.
    pub(super) fn new(first: u64, turn: PendingTurn, some: bool) -> Self {
        CutOff {
            first,
            last: turn.position,
            some,
            since_us: turn.since_us,
            tasks: turn.tasks,
        }
    }

    /// What its clients are told, now that this entry is committed; `None` if that is not known yet.
    fn after(&mut self, committed: Position) -> Option<Result<(), CommitError>> {
        if committed.index < self.first {
            return None;
        }
        if committed.term != self.last.term {
            return Some(Err(match self.some {
                true => CommitError::InDoubt,
                false => CommitError::NotLeader,
            }));
        }
        self.some = true;
        (committed.index >= self.last.index).then_some(Ok(()))
    }
}

/// An entry is committed: the clients of turns about which this decides are told.
pub(super) fn decide(writer: &mut Writer, committed: Position, finished: &mut Finished) {
    let undecided = &mut writer.desk_mut().undecided;
    if undecided.is_empty() {
        return;
    }
    for mut turn in std::mem::take(undecided) {
        match turn.after(committed) {
            None => undecided.push(turn),
            Some(Ok(())) => finished.tasks.extend(turn.tasks),
            Some(Err(error)) => finished.also(turn.tasks, error),
        }
    }
}

/// Tells the clients of turns that were proposed before `since_us` that nobody knows what becomes of them.
pub(super) fn tell_in_doubt(writer: &mut Writer, since_us: u64, finished: &mut Finished) {
    let undecided = &mut writer.desk_mut().undecided;
    for turn in std::mem::take(undecided) {
        match turn.since_us <= since_us {
            true => finished.also(turn.tasks, CommitError::InDoubt),
            false => undecided.push(turn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_off() -> CutOff {
        CutOff {
            first: 10,
            last: Position::new(3, 12),
            some: false,
            since_us: 0,
            tasks: Vec::new(),
        }
    }

    #[test]
    fn the_entry_that_is_committed_where_a_turn_stood_decides_about_it() {
        let mut turn = cut_off();
        assert_eq!(turn.after(Position::new(3, 9)), None);
        assert_eq!(turn.after(Position::new(4, 10)), Some(Err(CommitError::NotLeader)));

        let mut turn = cut_off();
        assert_eq!(turn.after(Position::new(3, 10)), None);
        assert_eq!(turn.after(Position::new(3, 11)), None);
        assert_eq!(
            turn.after(Position::new(3, 12)),
            Some(Ok(())),
            "it was logged by somebody who leads again"
        );

        let mut turn = cut_off();
        assert_eq!(turn.after(Position::new(3, 10)), None);
        assert_eq!(turn.after(Position::new(5, 11)), Some(Err(CommitError::InDoubt)));
    }
}
