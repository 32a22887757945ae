//! Raft for one replica group, without input or output: messages, entries and time go in; messages, entries to be logged and what
//! is committed come out. [`Group`] is all of it. The partition's commit driver carries out what it says, and `sim` does the same
//! over a fake network and fake disks.
//!
//! The core is the crate `raft` (tikv/raft-rs, after etcd's; Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm", 2014). What is ours is around it:
//!
//! - **Elections** (`election.rs`). When a follower campaigns is decided here, by time and an injected seed, and not by raft's own
//!   ticks. A connection to the leader that breaks is news: the follower waits for the end of its promise and no longer.
//! - **Promises and leases** (`lease.rs`). Who hears of a leader promises, for [`Settings::promise_us`], to vote for nobody else.
//!   A leader whose quorum has promised knows that nobody else leads: it reads by itself. Time is each machine's own; only
//!   durations are compared, with a margin for clocks that run at different speeds.
//! - **Members** (`members.rs`). Who belongs to the group is an entry of its log, whole. Voters change through a joint configuration.
//! - **The log** (`log.rs`). Entries stand in the partition's log; what raft asks of it is answered from a short tail in memory
//!   and a list of terms, and from the disk only for who is far behind.
//!
//! Messages never cross the network as protobuf 2 (RUSTSEC-2024-0437): [`Message`] has a schema of its own.

#![forbid(unsafe_code)]

mod election;
mod entry;
mod error;
mod group;
mod lease;
mod log;
mod members;
mod message;
mod settings;
mod wire;

pub use entry::Entry;
pub use error::{ConsensusError, LogError, NotLeader, ProposeMembersError};
pub use group::{Ballot, Behind, Group, Outputs, Role, Silence, Start, Work};
pub use log::LogReader;
pub use members::{ADDRESS_BYTES_MAX, MEMBERS_MAX, MEMBERS_TAG, Member, Members, MembersError, Seat};
pub use message::{Message, ReplicaNumber};
pub use settings::{Settings, SettingsError};
pub use wire::WireError;
