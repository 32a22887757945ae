//! The source's side: who follows, what to answer, which checkpoints exist and how much log must be kept.
//!
//! Plain bookkeeping, one value for each part; the driver calls it and asks for what has run out (`expire`) at its
//! `deadline`.

mod checkpoints;
mod progress;
mod sessions;
mod try_sync;

pub use checkpoints::{Acquired, CheckpointSettings, Checkpoints, Made};
pub use progress::{Acks, Dropped, Follower, PinSettings, Progress};
pub use sessions::{Handshake, SessionInfo, Sessions, SourceIdentity};
pub use try_sync::{LogView, answer};

use crate::{NodeId, Purpose};

/// Who holds something at the source. It outlives sessions and restarts of the follower, so that the one that comes
/// back finds what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The follower.
    pub node: NodeId,
    /// What for.
    pub purpose: Purpose,
}
