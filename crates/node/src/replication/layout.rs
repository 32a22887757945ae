//! What two servers must have alike, so that one can take the other's log.

use haypile_partition::Partition;
use haypile_sync::PartitionId;
use haypile_sync::message::Layout;
use haypile_types::SLOTS;

/// Version of the encoding of keys and values, and of the log's effects.
const STORE_FORMAT: u32 = 3;

/// A partition's layout. The number of databases is a part of it, for keyspaces are named by numbers that come after it.
pub(super) fn layout(id: &PartitionId, partition: &Partition) -> Layout {
    Layout {
        partition: id.clone(),
        slot_first: 0,
        slot_last: SLOTS - 1,
        format: STORE_FORMAT << 16 | u32::from(partition.databases()),
    }
}

/// The number of databases in a layout, and the version of the encoding.
pub(super) fn databases_and_format(layout: &Layout) -> (u32, u32) {
    (layout.format & 0xffff, layout.format >> 16)
}
