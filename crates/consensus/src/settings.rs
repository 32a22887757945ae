//! The times and limits of a group.

use crate::message::ReplicaNumber;

/// How a group behaves. All durations are in microseconds of the machine's own clock, which goes on while the machine sleeps
/// (CLOCK_BOOTTIME).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which of the replicas this is. Never 0.
    pub replica: ReplicaNumber,
    /// How often a leader lets hear of itself when it has nothing to say.
    pub heartbeat_us: u64,
    /// For how long a follower that has heard of a leader votes for nobody else.
    pub promise_us: u64,
    /// By how many millionths the clocks of two machines may differ in speed.
    pub drift_ppm: u64,
    /// After how long without a word from a leader a follower campaigns, at least; and by how much more, at random.
    pub election_us: u64,
    /// The same for a candidate that has not won: how long it waits for another try, at least, and by how much more, at random.
    pub retry_us: u64,
    /// Bytes of entries in one message, unless a single one has more.
    pub message_bytes_max: u64,
    /// Messages with entries that may be on the way to one follower.
    pub inflight_messages_max: usize,
    /// Bytes of entries that are kept in memory for followers that are a little behind, beyond those that are not on disk or
    /// not applied yet.
    pub tail_bytes_max: usize,
}

impl Settings {
    /// The defaults for a replica of a group.
    pub fn new(replica: ReplicaNumber) -> Self {
        Settings {
            replica,
            heartbeat_us: 50_000,
            promise_us: 250_000,
            drift_ppm: 5_000,
            election_us: 600_000,
            retry_us: 100_000,
            message_bytes_max: 1 << 20,
            inflight_messages_max: 32,
            tail_bytes_max: 1 << 20,
        }
    }

    /// How long a promise is good for at the leader to whom it was made: shorter by twice what clocks may differ.
    pub(crate) fn lease_us(&self) -> u64 {
        self.promise_us - self.promise_us * 2 * self.drift_ppm / 1_000_000
    }

    /// Checks what the safety of leases and elections rests on.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.replica == 0 {
            return Err(SettingsError("a replica has a number of at least 1"));
        }
        if self.heartbeat_us == 0 || self.heartbeat_us * 2 > self.promise_us {
            return Err(SettingsError("a promise must outlast two heartbeats"));
        }
        if self.promise_us > self.election_us {
            return Err(SettingsError("a follower must not campaign before its promise ends"));
        }
        if self.drift_ppm >= 250_000 {
            return Err(SettingsError("clocks that differ by a quarter are no clocks"));
        }
        if self.retry_us == 0 || self.inflight_messages_max == 0 {
            return Err(SettingsError("waiting times and windows must not be zero"));
        }
        Ok(())
    }
}

/// Settings that a group cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub &'static str);
