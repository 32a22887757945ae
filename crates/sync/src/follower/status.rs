//! What INFO and metrics show of the machines.

use std::time::Duration;

use super::{InstanceState, PartitionState, Session};
use crate::copy::CopyProgress;
use crate::{LocalPosition, SyncError, Time};

/// What INFO and metrics show of an instance machine.
#[derive(Clone, Debug)]
pub struct InstanceStatus {
    /// The state.
    pub state: InstanceState,
    /// Since when.
    pub since: Time,
    /// Address that is followed.
    pub address: Option<String>,
    /// The session, while connected.
    pub session: Option<Session>,
    /// How long the source has been silent, while connected.
    pub silent_for: Option<Duration>,
    /// Failures in a row.
    pub attempts: u32,
    /// The last error, also while it is no longer in the way.
    pub last_error: Option<SyncError>,
    /// When the next attempt starts, in the error state; `None` there = it waits for a person.
    pub retry_at: Option<Time>,
}

/// What INFO and metrics show of a partition machine. Lag is the receiver's to tell
/// ([`Receiver::lag`](crate::stream::Receiver::lag)).
#[derive(Clone, Debug)]
pub struct PartitionStatus {
    /// The state.
    pub state: PartitionState,
    /// Since when.
    pub since: Time,
    /// Where the partition was when it last asked the source.
    pub asked_with: Option<LocalPosition>,
    /// The copy, while one runs.
    pub copy: Option<CopyProgress>,
    /// How long the source has been silent, while connected.
    pub silent_for: Option<Duration>,
    /// Failures in a row.
    pub attempts: u32,
    /// The last error, also while it is no longer in the way.
    pub last_error: Option<SyncError>,
    /// When the next attempt starts, in the error state; `None` there = it waits for a person.
    pub retry_at: Option<Time>,
}
