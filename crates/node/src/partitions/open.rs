//! An open partition and what it does by itself.

use std::ops::Deref;

use haypile_partition::{Maintenance, Partition, PartitionError, Recovery};

/// See the module.
pub struct OpenPartition {
    /// The partition.
    pub partition: Partition,
    /// What it does by itself.
    pub maintenance: Maintenance,
}

impl OpenPartition {
    /// Opens a partition and starts its maintenance.
    ///
    /// # Errors
    /// The partition's.
    pub fn open(options: haypile_partition::Options) -> Result<(OpenPartition, Recovery), PartitionError> {
        let (partition, recovery) = Partition::open(options)?;
        let maintenance = Maintenance::start(&partition)?;
        let open = OpenPartition { partition, maintenance };
        Ok((open, recovery))
    }
}

impl Deref for OpenPartition {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        &self.partition
    }
}
