//! A copied checkpoint takes the place of the data of the running server.

use std::sync::Arc;

use haypile_partition::install;
use haypile_sync::copy::Manifest;
use haypile_sync::role::RoleEvent;
use haypile_sync::{ErrorKind, Failure, PartitionId, Tenure};

use crate::node::{Node, oplog_options, partition_dir};
use crate::replication::snapshot;

/// Closes the data, installs what was copied, and opens it. Meanwhile clients are told that the data is being loaded.
///
/// # Errors
/// The server has another role than in this tenure, or a file. What is open afterwards is the old data or the new, or nothing if it cannot
/// be opened.
pub(super) fn install(node: &Arc<Node>, id: &PartitionId, tenure: Tenure, manifest: &Manifest) -> Result<(), Failure> {
    let replication = &node.replication;
    if node.is_stopping() {
        return Err(Failure::new(ErrorKind::PeerClosed, "this server stops"));
    }
    let begins = RoleEvent::InstallationBegins(tenure);
    if let Err(error) = replication.roles.change(node, None, begins) {
        let cause = format!("this server has another role by now: {error}");
        return Err(Failure::new(ErrorKind::PeerClosed, cause));
    }
    // From here on until it is open again nobody can make it a primary.
    let checkpoints = replication.source.data_replaced(replication.now());
    snapshot::remove(&checkpoints);
    node.partitions.close(id);
    let values = node.config.get();
    let installed = install::install(
        &partition_dir(&values, id),
        manifest.position(),
        manifest.history(),
        &oplog_options(&values),
    );
    let opened = node.open_partition(id);
    installed
        .and(opened)
        .map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))
}

/// Removes what is left of a copy that is not wanted any more. Who calls this has the hand: nothing is installed meanwhile.
pub(super) fn discard(node: &Node, id: &PartitionId) {
    if let Err(error) = install::discard_incoming(&partition_dir(&node.config.load(), id)) {
        tracing::warn!(%error, "what is left of a copy cannot be removed");
    }
}
