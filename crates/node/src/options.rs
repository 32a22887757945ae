//! What the configuration says of a partition, as the partition and what is below it want to have it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use haypile_commands::PackedLimits;
use haypile_config::{NotifyFlags, Values};
use haypile_partition::Role;
use haypile_store::{SharedResources, StoreOptions};
use haypile_sync::{PartitionId, Tenure};
use haypile_types::Clock;

use crate::partitions;
use crate::process;
use crate::random::SplitMix64;

/// The machine's memory or the container's share of it, bytes.
pub fn machine_bytes() -> u64 {
    let total = process::machine_total_bytes().unwrap_or(4 << 30);
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(total, |limit| limit.min(total))
}

/// The memory that the stores share.
pub(crate) fn shared_resources(values: &Values) -> SharedResources {
    let budget = values.memory_budget_bytes(machine_bytes());
    let write_buffers = match values.rocksdb_write_buffer_size {
        0 => haypile_store::Budget::write_buffer_share(budget as usize) as u64,
        bytes => bytes,
    };
    SharedResources::new(budget as usize, write_buffers as usize)
}

/// A partition's directory.
pub(crate) fn partition_dir(values: &Values, id: &PartitionId) -> PathBuf {
    partitions::dir_of(&values.dir, id)
}

/// The log's options.
pub(crate) fn oplog_options(values: &Values) -> haypile_oplog::Options {
    haypile_oplog::Options {
        segment_bytes: values.oplog_segment_bytes,
        sync: values.sync,
        retention_bytes_max: values.oplog_retention_bytes,
        retention_ms_max: retention_ms(values),
        pinned_bytes_max: values.oplog_pinned_max_bytes,
        ..haypile_oplog::Options::default()
    }
}

/// What a partition shares with the others of its process.
pub(crate) struct Common<'a> {
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) shared: &'a SharedResources,
    /// How many files its store may have open; `None`: as many as it likes.
    pub(crate) store_files_max: Option<u32>,
}

pub(crate) fn partition_options(
    id: &PartitionId,
    values: &Values,
    common: &Common<'_>,
    (role, tenure): (Role, Tenure),
) -> haypile_partition::Options {
    let budget = common.shared.budget();
    let write_buffers = budget.write_buffer_bytes as u64;
    haypile_partition::Options {
        dir: partition_dir(values, id),
        role,
        tenure,
        group: None,
        store: StoreOptions {
            databases: values.databases,
            compression: values.rocksdb_compression,
            background_jobs: u32::from(values.rocksdb_max_background_jobs),
            block_bytes: values.rocksdb_block_size as usize,
            open_files_max: common.store_files_max,
        },
        oplog: oplog_options(values),
        shared: common.shared.clone(),
        clock: common.clock.clone(),
        random: Box::new(SplitMix64::from_system()),
        uncommitted_bytes_max: budget.uncommitted_bytes_max,
        unflushed_log_bytes_max: (write_buffers * 4).max(256 << 20),
        disk_free_bytes_min: values.disk_free_min_bytes,
    }
}

/// How much of the log is kept that could go.
pub fn retention(values: &Values) -> haypile_oplog::Retention {
    haypile_oplog::Retention {
        bytes_max: values.oplog_retention_bytes,
        ms_max: retention_ms(values),
        pinned_bytes_max: values.oplog_pinned_max_bytes,
    }
}

/// `oplog-retention-hours` in milliseconds; 0 hours is no limit.
fn retention_ms(values: &Values) -> u64 {
    match values.oplog_retention_hours {
        0 => u64::MAX,
        hours => u64::from(hours) * 3_600_000,
    }
}

/// Up to where collections are packed.
pub fn packed_limits(values: &Values) -> PackedLimits {
    PackedLimits {
        hash_entries: values.hash_max_listpack_entries,
        hash_value: values.hash_max_listpack_value,
        intset_entries: values.set_max_intset_entries,
        set_entries: values.set_max_listpack_entries,
        set_value: values.set_max_listpack_value,
        zset_entries: values.zset_max_listpack_entries,
        zset_value: values.zset_max_listpack_value,
        list_size: values.list_max_listpack_size,
    }
}

/// The notify flags as the partition's classes: the same bits, if anything is published at all.
pub fn notify_classes(flags: NotifyFlags) -> u32 {
    match flags.0 & (NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT) {
        0 => 0,
        _ => flags.0 & !(NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT),
    }
}
