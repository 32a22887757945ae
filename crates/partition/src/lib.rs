//! A partition: a log, a store, and the single writer that puts them together.
//!
//! - [`Partition::read`] evaluates a reading command on the caller's thread; reads never wait for the writer.
//! - [`Partition::submit`] takes [`Task`]s that write. Flat combining: the thread that finds the partition free takes
//!   the *turn*, evaluates its own tasks and whatever has queued up behind it, appends all entries with one write, and,
//!   once they are committed, applies them as one batch. Nobody changes threads while nobody waits.
//! - An entry is committed by the append itself (`sync everysec` and `os`), or when it is on disk (`sync always`); in a group, when a
//!   quorum has it.
//! - [`Task::finish`] is called when everything that the task has seen is committed, and not before.
//!
//! # Directory
//! ```text
//! partition.toml   format version, id of the replica, and epoch history
//! oplog/           the log's segments
//! store/           the RocksDB
//! ballot           of a replica of a group: its term and its vote
//! incoming/        a checkpoint that is being copied; see `haypile_sync::copy::install`
//! ```

mod background;
mod commit;
mod error;
mod events;
mod group;
mod identity;
pub mod install;
mod open;
mod panics;
mod partition;
mod refusal;
mod replicated;
mod role;
mod task;
mod turn;
mod waiting;
mod writing;

pub use background::Maintenance;
pub use error::{CommitError, PartitionError};
pub use events::Event;
pub use group::{Change, ChangeError, GroupOptions, GroupView, Post};
pub use identity::ReplicaId;
pub use open::{Options, Recovery};
pub use partition::{Hooks, Partition, PartitionStats};
pub use replicated::{ReplicatedEntry, ReplicatedError};
pub use role::{LogEnds, Role, RoleChange};
pub use task::{Awaited, Step, Task};
pub use turn::{Call, Turn};
pub use waiting::WatchFlag;
pub use writing::{Ahead, Hold};
