//! A copied checkpoint takes the place of the data of the running server.

use std::sync::Arc;

use haypile_partition::{Role, install};
use haypile_sync::copy::Manifest;
use haypile_sync::{ErrorKind, Failure};

use crate::node::{Node, oplog_options, partition_dir};
use crate::replication::snapshot;

/// Closes the data, installs what was copied, and opens it. Meanwhile clients are told that the data is being loaded.
///
/// # Errors
/// The server follows nobody any more, or a file. What is open afterwards is the old data or the new, or nothing if it cannot
/// be opened.
pub(super) fn install(node: &Arc<Node>, manifest: &Manifest) -> Result<(), Failure> {
    let replication = &node.replication;
    {
        let _changing = replication.changing.lock();
        let follows = node
            .data
            .load()
            .as_ref()
            .is_none_or(|data| data.role() == Role::Follower);
        if !follows || node.is_stopping() {
            return Err(Failure::new(
                ErrorKind::PeerClosed,
                "this server follows nobody any more",
            ));
        }
        // From here on until it is open again nobody can change the role.
        let checkpoints = replication.source.data_replaced(replication.now());
        snapshot::remove(&checkpoints);
        node.data.close();
    }
    let values = node.config.get();
    let installed = install::install(
        &partition_dir(&values),
        manifest.position(),
        manifest.history(),
        &oplog_options(&values),
    );
    let opened = node.open_data(Role::Follower);
    installed
        .and(opened)
        .map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))
}

/// Removes what is left of a copy that is not wanted any more. Who calls this has the hand: nothing is installed meanwhile.
pub(super) fn discard(node: &Node) {
    if let Err(error) = install::discard_incoming(&partition_dir(&node.config.load())) {
        tracing::warn!(%error, "what is left of a copy cannot be removed");
    }
}
