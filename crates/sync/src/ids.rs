//! Ids: which are random, which count, and what each names.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

id! {
    /// A server's data directory: random, made once and kept with it.
    NodeId(u128), "{:032x}"
}
id! {
    /// One run of a server's process: random, fresh at each start. Two of them have no order.
    Incarnation(u64), "{:016x}"
}
id! {
    /// What a source calls one accepted handshake. Random, so that a source that was restarted does not give out
    /// one that it gave out before.
    SessionId(u64), "{:016x}"
}
id! {
    /// One attempt at something. Each machine counts its own, upwards from 1, and never takes a number twice within
    /// an incarnation; an answer that carries another number than the current one is late or doubled, and is ignored.
    AttemptId(u64), "{}"
}
id! {
    /// The time for which a server has one role: each change of the role begins another, numbered upwards within a run of the
    /// process. Whoever works for a role holds its tenure, and a partition takes nothing from one that is over; see
    /// [`role`](crate::role).
    Tenure(u64), "{}"
}
id! {
    /// A checkpoint: random, fresh for each that is made.
    SnapshotId(u128), "{:032x}"
}
id! {
    /// A stretch of log that had one writer: random, fresh for each; see [`Epoch`](crate::Epoch).
    EpochId(u128), "{:032x}"
}

/// A partition's name: the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// Name of the table.
    pub table: String,
    /// Number of the partition within the table, from 0.
    pub number: u32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.number)
    }
}
