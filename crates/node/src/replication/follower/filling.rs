//! A member of a replica group that is behind its leader's log copies a checkpoint of the leader.
//!
//! The group says who leads and that its log begins too late; the two machines bring the copy, as they bring a replica's; the group is
//! asked once more before the copy takes the place of the data, and gives the rest of the log afterwards.

use std::sync::Arc;
use std::time::Duration;

use haypile_consensus::Behind;
use haypile_sync::copy::Manifest;
use haypile_sync::follower::InstanceEvent;
use haypile_sync::{ErrorKind, Failure, PartitionId, Time};

use super::driver::{Driver, identity};
use super::{gave_up, installing};
use crate::replication::Replication;

/// For how long a copy goes on of which the group has not said again that it is needed: elections and restarts of a leader are shorter.
const PATIENCE: Duration = Duration::from_secs(10);

/// A copy of the leader's data.
pub(super) struct Filling {
    address: String,
    behind: Behind,
    /// When the group last said so.
    said: Time,
}

impl Driver {
    /// The group says that this member is behind its leader's log.
    pub(super) fn fill(&mut self, replication: &Arc<Replication>, address: String, behind: Behind) {
        let said = replication.now();
        let goes_on = self
            .filling
            .as_ref()
            .is_some_and(|filling| filling.address == address && filling.behind.leader == behind.leader);
        if !goes_on {
            tracing::warn!(
                leader = behind.leader,
                address,
                "this member of the group is behind its leader's log: it copies a checkpoint"
            );
        }
        self.filling = Some(Filling {
            address: address.clone(),
            behind,
            said,
        });
        if !goes_on || self.has_given_up() {
            self.partition.set_peer(address.clone());
            self.instance.set_identity(identity(replication, &self.id));
            self.reject = None;
            self.instance_event(InstanceEvent::Follow(address));
        }
    }

    /// Ends a copy that is not needed any more: the leader's log, or another's, reaches by now.
    pub(super) fn look_at_filling(&mut self, replication: &Arc<Replication>) {
        let now = replication.now();
        if self
            .filling
            .as_ref()
            .is_some_and(|filling| now.since(filling.said) > PATIENCE)
        {
            tracing::info!("this member of the group is not behind its leader's log any more");
            self.end_filling();
        }
    }

    /// There is nothing to be copied any more.
    pub(super) fn end_filling(&mut self) {
        if self.filling.take().is_some() {
            self.instance_event(InstanceEvent::Unfollow);
        }
    }

    fn has_given_up(&self) -> bool {
        let now = Time::default();
        gave_up(&self.instance.status(now), &self.partition.status(now))
    }

    /// Whose checkpoint is wanted, in which term: as the group said last.
    pub(super) fn is_behind(&self) -> Option<Behind> {
        self.filling.as_ref().map(|filling| filling.behind)
    }
}

/// Closes a member's data, installs what was copied from its leader, and opens it. Meanwhile clients are told that the data is being loaded.
///
/// # Errors
/// The group does not need it any more, or a file. What is open afterwards is the old data or the new, or nothing if it cannot be opened.
pub(super) fn install(
    replication: &Arc<Replication>,
    id: &PartitionId,
    behind: Option<Behind>,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let not_needed = || {
        Failure::new(
            ErrorKind::PeerClosed,
            "this member of the group needs no checkpoint any more",
        )
    };
    if replication.parts.stopping.is_asked() {
        return Err(Failure::new(ErrorKind::PeerClosed, "this server stops"));
    }
    let (behind, position) = (behind.ok_or_else(not_needed)?, manifest.position());
    let gives_way = replication
        .parts
        .partitions
        .of(id)
        .as_ref()
        .map(|data| data.group_give_way(behind, position));
    if gives_way != Some(true) {
        return Err(not_needed());
    }
    installing::replace(replication, id, manifest)
}
