//! Opening partitions: with what the configuration says, and with what all partitions of this process share.

use std::sync::Arc;

use haypile_config::Config;
use haypile_partition::{GroupOptions, Hooks, PartitionError, Recovery, Role};
use haypile_store::SharedResources;
use haypile_sync::{PartitionId, Tenure};
use haypile_types::Clock;

use crate::options::{Common, notify_classes, packed_limits, partition_options};
use crate::partitions::OpenPartition;
use crate::recovery;

/// See the module.
pub(crate) struct Opener {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The memory that the stores share.
    pub(crate) shared: SharedResources,
    /// Tables that a store may keep open; `None`: all.
    pub(crate) store_files_max: Option<u32>,
    /// What makes it a replica of a group, if it is to be one.
    pub(crate) group: Option<Box<dyn Fn() -> GroupOptions + Send + Sync>>,
}

impl Opener {
    /// Opens a partition in this role, and says in the log what had to be done.
    ///
    /// # Errors
    /// The partition's.
    pub(crate) fn open(
        &self,
        id: &PartitionId,
        role: (Role, Tenure),
    ) -> Result<(OpenPartition, Recovery), PartitionError> {
        let common = Common {
            clock: &self.clock,
            shared: &self.shared,
            store_files_max: self.store_files_max,
        };
        let mut options = partition_options(id, &self.config.get(), &common, role);
        options.group = self.group.as_ref().map(|group| group());
        let (open, recovery) = OpenPartition::open(options)?;
        recovery::report(&recovery);
        Ok((open, recovery))
    }

    /// Tells a partition what can change at run time, and who hears of what happens in it.
    pub(crate) fn equip(&self, open: &OpenPartition, hooks: Arc<dyn Hooks>) {
        let values = self.config.load();
        open.set_notify(notify_classes(values.notify_keyspace_events));
        open.set_string_bytes_max(values.proto_max_bulk_len as usize);
        open.set_hll_sparse_bytes_max(values.hll_sparse_max_bytes as usize);
        open.hold().set_packed_limits(packed_limits(&values));
        open.set_hooks(hooks);
    }
}
