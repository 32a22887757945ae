use haypile_commands::CommandError;

use crate::{CommitError, Turn};

/// Work for the writer: the requests of one connection, or something of the server's own.
pub trait Task: Send {
    /// A number of its owner's: a client blocks at most once, and is unblocked by this number.
    fn client(&self) -> u64;

    /// Does as much as it can in this turn. It is called again after it has given [`Step::Blocked`] and one of the keys
    /// became ready.
    fn evaluate(&mut self, turn: &mut Turn<'_>) -> Step;

    /// Ends the wait of a blocked task: for want of time (`None`), or with an error for the client.
    fn unblock(&mut self, why: Option<CommandError>);

    /// Everything that was evaluated is committed, or, with an error, nothing of this turn counts.
    fn finish(self: Box<Self>, outcome: Result<(), &CommitError>);
}

/// What became of an evaluation.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Call [`Task::finish`] when the turn is committed.
    Done,
    /// Nothing was done; keep the task until one of the keys is ready. Only for a task that has no replies pending.
    Blocked {
        /// The database of the keys.
        db: u16,
        /// User keys.
        keys: Vec<Vec<u8>>,
    },
}
