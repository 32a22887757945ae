//! What a run of a group is given, and what it has come to.

use std::collections::BTreeMap;

/// What goes wrong in a run, and which of the group's rules are broken on purpose to see that it is noticed.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How many replicas there are.
    pub replicas: u64,
    /// Thousandths of messages that are lost.
    pub lost_permille: u64,
    /// Thousandths of messages that arrive twice.
    pub doubled_permille: u64,
    /// Thousandths of messages that are late, each of two that were one for itself; and by how much at most.
    pub late_permille: u64,
    /// See there, microseconds.
    pub late_us_max: u64,
    /// How often something else goes wrong, on average, microseconds.
    pub fault_every_us: u64,
    /// How often somebody's log is collected, on average, microseconds.
    pub collect_every_us: u64,
    /// How often the group's members are changed, on average, microseconds; 0 for never.
    pub change_every_us: u64,
    /// What a driver does wrong.
    pub mutant: Option<Mutant>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            replicas: 3,
            lost_permille: 10,
            doubled_permille: 10,
            late_permille: 10,
            late_us_max: 600_000,
            fault_every_us: 400_000,
            collect_every_us: 300_000,
            change_every_us: 0,
            mutant: None,
        }
    }
}

/// A rule of the group's, or of its driver's, that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Replica 1 believes promises for as long as six times what the others promise.
    BelievesTooMuch,
    /// A replica makes way for a checkpoint without asking whether it is still needed.
    GivesWayUnasked,
    /// A checkpoint takes the place of the ballot, too.
    BallotForgotten,
    /// A ballot's term is synced and its vote is not.
    VoteNotSynced,
    /// A ballot is synced only if its term or vote is another one, whatever it says of what is committed.
    CommitNotSynced,
    /// Recovery applies all that is in the log.
    CommitsAtLogsEnd,
    /// Whether the lease is held is asked before the read.
    LeaseBeforeRead,
    /// Any answer of a quorum in the term confirms a read, also one to what was said before it.
    ConfirmedBeforeRead,
    /// Whether the replica serves is not asked before the read.
    LeaseAlone,
    /// Who starts has promised nothing.
    NoPromiseAtStart,
    /// Clients are told "not done" when another leader's entry is about to take the place of theirs in the log, before that is committed.
    RefusesAtCut,
}

impl Mutant {
    pub(crate) fn is(mutant: Option<Mutant>, which: Mutant) -> bool {
        mutant == Some(which)
    }
}

/// How often what has occurred.
pub type Counts = BTreeMap<&'static str, u64>;

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Terms that had a leader.
    pub terms: usize,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Reads, by lease or confirmed by a quorum.
    pub reads: u64,
    /// Entries that were decided.
    pub decided: u64,
    /// How long after the end of the faults a write succeeded, microseconds.
    pub recovered_us: u64,
    /// What has occurred.
    pub counts: Counts,
}
