//! Places in a partition's log.

use std::fmt;

/// A place in a partition's log: the term in which an entry was proposed and its index.
///
/// Indexes start at 1 and grow by one per entry; `Position::ZERO` stands before the first entry.
/// Positions order by term first, as in Raft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Election term; 1 for a partition that has never had an election.
    pub term: u64,
    /// Index of the entry within the log.
    pub index: u64,
}

impl Position {
    /// Before the first entry.
    pub const ZERO: Position = Position { term: 0, index: 0 };

    /// A position from its parts.
    pub const fn new(term: u64, index: u64) -> Self {
        Position { term, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.term, self.index)
    }
}
