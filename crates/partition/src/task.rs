//! Work for the writer.

use haypile_commands::CommandError;
use haypile_store::row::Kind;

use crate::{Ahead, CommitError, Turn};

/// Work for the writer: the requests of one connection, or something of the server's own.
pub trait Task: Send {
    /// A number of its owner's: a client blocks at most once, and is unblocked by this number.
    fn client(&self) -> u64;

    /// Its command and the database, if it has one only: the processor fetches what those of several tasks look up together.
    fn only_command(&self) -> Option<(u16, Ahead<'_>)> {
        None
    }

    /// Does as much as it can in this turn. Between two commands it calls [`Turn::serve_waiting`], so that who waits is
    /// served before the next command sees the key.
    fn evaluate(&mut self, turn: &mut Turn<'_>) -> Step;

    /// A key for which the task waits has become ready: true if the task has been served with it, and waits no longer. It
    /// does nothing more in this turn than that. False if it goes on waiting, and has done nothing.
    fn serve(&mut self, turn: &mut Turn<'_>, key: &[u8]) -> bool;

    /// Ends the wait of a blocked task: for want of time (`None`), or with an error for the client.
    fn unblock(&mut self, why: Option<CommandError>);

    /// Everything that was evaluated is committed, or, with an error, nothing of this turn counts. The task may have been
    /// stopped anywhere in its evaluation if the error is [`CommitError::Panicked`].
    fn finish(self: Box<Self>, outcome: Result<(), &CommitError>);
}

/// What became of an evaluation.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Call [`Task::finish`] when the turn is committed.
    Done,
    /// Nothing was done; keep the task until one of the keys is ready. Only for a task of which everything that was done
    /// in this turn needs no [`Task::finish`].
    Blocked(Awaited),
}

/// What a blocked task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The database of the keys.
    pub db: u16,
    /// User keys.
    pub keys: Vec<Vec<u8>>,
    /// The type that a key must have to serve the task; `None` if it waits for no key.
    pub kind: Option<Kind>,
}
