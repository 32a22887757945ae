//! Sync: how one server's partition becomes and stays a copy of another's.
//!
//! One protocol serves replicas, learners, duplication and restore. The side that wants the data is the
//! **follower**, the side that has it is the **source**; a source may itself be a follower of another.
//!
//! This crate is the protocol's core: it does no I/O, has no clock and no threads. Time, events and randomness go
//! in, actions come out; a driver carries them out. So a simulation can run the same code as the server.
//!
//! | to follow | see |
//! |---|---|
//! | who wrote what, and where two logs part | [`history`](common_point) |
//! | the follower's two machines | [`follower`] |
//! | who writes, and what changes that | [`role`] |
//! | the copy of a checkpoint, and its installation | [`copy`] |
//! | the source's side: sessions, TrySync, checkpoints, progress | [`source`] |
//! | the stream of entries, both ends | [`stream`] |
//! | the messages, and their encoding | [`message`], [`wire`] |

#![forbid(unsafe_code)]

mod error;
mod history;
mod ids;
mod settings;
mod table;
#[cfg(test)]
mod testing;
mod time;
mod transition;

pub mod copy;
pub mod follower;
pub mod message;
pub mod role;
pub mod source;
pub mod stream;
pub mod wire;

pub use error::{Class, ErrorKind, Failure, NotReady, SyncError};
pub use history::{Epoch, EpochHistory, HISTORY_EPOCHS_MAX, HistoryError, POSITION_MAX, common_point};
pub use ids::{AttemptId, EpochId, Incarnation, NodeId, PartitionId, SessionId, SnapshotId, Tenure};
pub use message::{LocalPosition, Purpose};
pub use settings::{Retry, Settings};
pub use time::Time;
pub use transition::Transition;
