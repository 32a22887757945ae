//! A copied checkpoint takes the place of the data of the running server.

use std::sync::Arc;

use haypile_partition::install;
use haypile_sync::copy::Manifest;
use haypile_sync::role::RoleEvent;
use haypile_sync::{ErrorKind, Failure, PartitionId, Tenure};

use crate::options::{oplog_options, partition_dir};
use crate::replication::Replication;

/// Closes the data, installs what was copied, and opens it. Meanwhile clients are told that the data is being loaded.
///
/// # Errors
/// The server has another role than in this tenure, or a file. What is open afterwards is the old data or the new, or nothing if it cannot
/// be opened.
pub(super) fn install(
    replication: &Arc<Replication>,
    id: &PartitionId,
    tenure: Tenure,
    manifest: &Manifest,
) -> Result<(), Failure> {
    if replication.parts.stopping.is_asked() {
        return Err(Failure::new(ErrorKind::PeerClosed, "this server stops"));
    }
    let begins = RoleEvent::InstallationBegins(tenure);
    if let Err(error) = replication.roles.change(replication, None, begins) {
        let cause = format!("this server has another role by now: {error}");
        return Err(Failure::new(ErrorKind::PeerClosed, cause));
    }
    // From here on until it is open again nobody can make it a primary.
    replace(replication, id, manifest)
}

/// Closes the data, puts the copied checkpoint in its place, and opens what is there then.
///
/// # Errors
/// A file. What is open afterwards is the old data or the new, or nothing if it cannot be opened.
pub(super) fn replace(replication: &Arc<Replication>, id: &PartitionId, manifest: &Manifest) -> Result<(), Failure> {
    replication.source.data_replaced(replication.now());
    replication.parts.partitions.close(id);
    let values = replication.parts.config.get();
    let installed = install::install(
        &partition_dir(&values, id),
        manifest.position(),
        manifest.history(),
        &oplog_options(&values),
    );
    let opened = replication.open_partition(id);
    installed
        .and(opened)
        .map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))
}

/// Removes what is left of a copy that is not wanted any more. Who calls this has the lock on the data: nothing is installed meanwhile.
pub(super) fn discard(replication: &Replication, id: &PartitionId) {
    if let Err(error) = install::discard_incoming(&partition_dir(&replication.parts.config.load(), id)) {
        tracing::warn!(%error, "what is left of a copy cannot be removed");
    }
}
