//! MEMORY about the process; MEMORY USAGE is a data command. And OBJECT FREQ, which depends on the memory policy.

use haypile_commands::key::encoding_of;
use haypile_commands::{CommandError, Outcome};
use haypile_node::memory::allocator;
use haypile_node::process;
use haypile_resp::Request;

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("memory|doctor", doctor),
    ("memory|malloc-stats", malloc_stats),
    ("memory|purge", purge),
    ("memory|stats", stats),
    ("object|freq", freq),
];

/// Resident memory over the budget that is ordinary, one part in so many of it: what one command needs for a moment.
const ORDINARY_SHARE: u64 = 8;

fn doctor(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let (resident, budget) = (process::resident_bytes(), cx.node.memory.budget_bytes());
    let buffered = cx.server.clients.buffered_bytes();
    let text = if resident > budget + budget / ORDINARY_SHARE + buffered {
        format!(
            "{} MiB are resident, and memory-budget is {} MiB. Connections have {} MiB in their buffers, which come on top (see CLIENT \
             LIST: qbuf, omem). A large command, or a full sync, may need more for a moment. If it stays so, the caches are as small as \
             they may be: raise memory-budget, or have fewer databases.\n",
            resident >> 20,
            budget >> 20,
            buffered >> 20,
        )
    } else {
        format!(
            "All is well: {} MiB are resident, and memory-budget is {} MiB.\n",
            resident >> 20,
            budget >> 20
        )
    };
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// How often keys are used is not kept. With an LFU policy the number is 0, as OBJECT IDLETIME's is; without one the
/// command is an error in Redis, too.
fn freq(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if cx.inspect(|data| encoding_of(data, &request[2]))?.is_none() {
        cx.reply.null();
    } else if cx.node.config.load().kept.get("maxmemory-policy").ends_with("-lfu") {
        cx.reply.integer(0);
    } else {
        return Err(CommandError::reply(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    Ok(())
}

fn malloc_stats(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let usage = allocator::usage().unwrap_or_default();
    let text = format!(
        "The allocator is jemalloc, built without statistics.\nresident bytes: {}\nmost ever resident: {}\nbytes of pages in use: \
         {}\nbytes of pages kept for reuse: {}\nsettings: {}\n",
        process::resident_bytes(),
        process::resident_peak_bytes(),
        usage.active,
        usage.unused,
        allocator::SETTINGS.to_string_lossy(),
    );
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn purge(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    allocator::purge();
    cx.reply.ok();
    Ok(())
}

/// Names as in Redis, where it has them.
fn stats(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let server = cx.server;
    let store = server.node.partitions.store_stats();
    let resident = process::resident_bytes();
    let peak = process::resident_peak_bytes().max(resident);
    let clients = server.clients.all();
    let client_bytes: usize = clients
        .iter()
        .map(|c| {
            use std::sync::atomic::Ordering::Relaxed;
            c.query_bytes.load(Relaxed) + c.output_bytes.load(Relaxed)
        })
        .sum();
    let counts = server.node.partitions.counts();
    let keys: u64 = counts.iter().map(|c| c.keys).sum();
    let unused = allocator::usage().unwrap_or_default().unused.min(resident);
    let limits = server.node.memory.shared.cache_limits();
    let dataset = (store.block_cache_bytes + store.row_bytes).min(resident);
    let integers = [
        ("peak.allocated", peak),
        ("total.allocated", resident),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", client_bytes as u64),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", resident - dataset),
        ("keys.count", keys),
        (
            "keys.bytes-per-key",
            (store.sst_bytes + store.memtable_bytes) / keys.max(1),
        ),
        ("dataset.bytes", dataset),
        ("allocator.allocated", resident - unused),
        ("allocator.active", resident - unused),
        ("allocator.resident", resident),
        ("allocator-fragmentation.bytes", 0),
        ("allocator-rss.bytes", unused),
        ("rss-overhead.bytes", 0),
        ("fragmentation.bytes", 0),
        ("budget.bytes", server.node.memory.budget_bytes()),
        ("budget.used", store.block_cache_bytes + store.row_bytes),
        ("blocks.bytes", store.block_cache_bytes),
        ("blocks.bytes-max", limits.block_bytes as u64),
        ("rows.bytes", store.row_bytes),
        ("rows.bytes-max", limits.row_bytes as u64),
        ("unsettled.bytes", store.unsettled_bytes),
        ("retained.bytes", store.retained_bytes),
        ("store.disk-bytes", store.sst_bytes),
    ];
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let doubles = [
        ("dataset.percentage", percent(dataset, resident)),
        ("peak.percentage", percent(resident, peak)),
        ("allocator-fragmentation.ratio", 1.0),
        (
            "allocator-rss.ratio",
            resident as f64 / (resident - unused).max(1) as f64,
        ),
        ("rss-overhead.ratio", 1.0),
        ("fragmentation", 1.0),
    ];
    let databases: Vec<usize> = (0..counts.len()).filter(|&db| counts[db].keys > 0).collect();
    let reply = &mut *cx.reply;
    reply.map(integers.len() + doubles.len() + databases.len());
    for (name, value) in integers {
        reply.bulk_str(name);
        reply.integer(value as i64);
    }
    for (name, value) in doubles {
        reply.bulk_str(name);
        reply.double(value);
    }
    for db in databases {
        reply.bulk_str(&format!("db.{db}"));
        // The tables of keys that these would be of are on disk.
        reply.map(2);
        for name in ["overhead.hashtable.main", "overhead.hashtable.expires"] {
            reply.bulk_str(name);
            reply.integer(0);
        }
    }
    Ok(())
}
