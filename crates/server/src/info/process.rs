//! The sections of INFO about the process: server, clients, memory, CPU.

use std::sync::atomic::Ordering;

use haypile_node::memory::allocator;
use haypile_node::process;

use super::{Facts, Lines};
use crate::info::REDIS_VERSION;

pub(super) fn server(facts: &Facts<'_>, lines: &mut Lines) {
    let server = facts.server;
    let uptime = server.started.elapsed().as_secs();
    let now_us = server.node.clock.now_us();
    lines.put("redis_version", REDIS_VERSION);
    lines.put("haypile_version", env!("CARGO_PKG_VERSION"));
    lines.put("redis_git_sha1", "00000000");
    lines.put("redis_git_dirty", 0);
    lines.put("redis_build_id", 0);
    lines.put("redis_mode", "standalone");
    lines.put("os", process::os());
    lines.put("arch_bits", usize::BITS);
    lines.put("monotonic_clock", "POSIX clock_gettime");
    lines.put("multiplexing_api", "epoll");
    lines.put("atomicvar_api", "c11-builtin");
    lines.put("gcc_version", "0.0.0");
    lines.put("process_id", std::process::id());
    lines.put("process_supervised", "no");
    lines.put("run_id", &server.run_id);
    lines.put("tcp_port", server.any_port());
    lines.put("server_time_usec", now_us);
    lines.put("uptime_in_seconds", uptime);
    lines.put("uptime_in_days", uptime / 86_400);
    lines.put("hz", facts.values.hz);
    lines.put("configured_hz", facts.values.hz);
    // Redis' clock of 24 bits, in seconds.
    lines.put("lru_clock", (now_us / 1_000_000) & 0x00ff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    lines.put("executable", executable.display());
    let file = server.node.config.file().map(|path| path.display().to_string());
    lines.put("config_file", file.unwrap_or_default());
    lines.put("io_threads_active", u8::from(server.mailboxes.len() > 1));
    let ports = [("tcp", server.port), ("tls", server.tls_port)];
    let listeners = ports
        .iter()
        .filter(|(_, port)| *port > 0)
        .flat_map(|listener| facts.values.bind.iter().map(move |bind| (listener, bind)));
    for (n, ((name, port), bind)) in listeners.enumerate() {
        lines.put(
            &format!("listener{n}"),
            format_args!("name={name},bind={},port={port}", bind.ip),
        );
    }
}

pub(super) fn clients(facts: &Facts<'_>, lines: &mut Lines) {
    let clients = facts.server.clients.all();
    let most = |of: fn(&crate::client::Client) -> usize| clients.iter().map(|c| of(c)).max().unwrap_or(0);
    lines.put("connected_clients", clients.len());
    lines.put("cluster_connections", 0);
    lines.put("maxclients", facts.values.maxclients);
    lines.put(
        "client_recent_max_input_buffer",
        most(|c| c.query_bytes.load(Ordering::Relaxed)),
    );
    lines.put(
        "client_recent_max_output_buffer",
        most(|c| c.output_bytes.load(Ordering::Relaxed)),
    );
    // Who waits for the end of a pause counts too, as in Redis.
    let paused = clients.iter().filter(|c| c.paused.load(Ordering::Relaxed)).count();
    lines.put("blocked_clients", facts.partition.blocked_clients + paused);
    lines.zeros(&[
        "tracking_clients",
        "clients_in_timeout_table",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
    ]);
}

/// The allocator keeps no statistics, so what is used is what is resident.
pub(super) fn memory(facts: &Facts<'_>, lines: &mut Lines) {
    let used = process::resident_bytes();
    let peak = process::resident_peak_bytes().max(used);
    let clients = facts.server.clients.all();
    let buffers = |c: &crate::client::Client| {
        (c.query_bytes.load(Ordering::Relaxed) + c.output_bytes.load(Ordering::Relaxed)) as u64
    };
    let client_bytes: u64 = clients.iter().map(|c| buffers(c)).sum();
    let allocator = allocator::usage().unwrap_or_default();
    let budget_used = facts.store.block_cache_bytes + facts.store.row_bytes;
    let dataset = budget_used.min(used);
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    lines.put_bytes("used_memory", used);
    lines.put_bytes("used_memory_rss", used);
    lines.put_bytes("used_memory_peak", peak);
    lines.put("used_memory_peak_perc", format_args!("{:.2}%", percent(used, peak)));
    lines.put("used_memory_overhead", used - dataset);
    lines.put("used_memory_startup", 0);
    lines.put("used_memory_dataset", dataset);
    lines.put(
        "used_memory_dataset_perc",
        format_args!("{:.2}%", percent(dataset, used)),
    );
    lines.put("allocator_allocated", used - allocator.unused.min(used));
    lines.put("allocator_active", used - allocator.unused.min(used));
    lines.put("allocator_resident", used);
    lines.put_bytes(
        "total_system_memory",
        process::machine_total_bytes().unwrap_or_default(),
    );
    for field in ["used_memory_lua", "used_memory_vm_total", "used_memory_scripts"] {
        lines.put_bytes(field, 0);
    }
    lines.zeros(&[
        "used_memory_vm_eval",
        "used_memory_scripts_eval",
        "number_of_cached_scripts",
        "number_of_functions",
        "number_of_libraries",
        "used_memory_vm_functions",
        "used_memory_functions",
    ]);
    let maxmemory = facts.values.kept.get("maxmemory");
    lines.put_bytes("maxmemory", maxmemory.parse().unwrap_or(0));
    lines.put("maxmemory_policy", facts.values.kept.get("maxmemory-policy"));
    for field in ["allocator_frag", "allocator_rss", "rss_overhead", "mem_fragmentation"] {
        lines.put(&format!("{field}_ratio"), "1.00");
        lines.put(&format!("{field}_bytes"), 0);
    }
    lines.zeros(&[
        "mem_not_counted_for_evict",
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_clients_slaves",
    ]);
    lines.put("mem_clients_normal", client_bytes);
    lines.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    lines.put("mem_allocator", "jemalloc-5.3");
    lines.zeros(&["active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"]);
    lines.put_bytes("memory_budget", facts.server.node.memory.budget_bytes());
    lines.put_bytes("memory_budget_used", budget_used);
    lines.put_bytes("block_cache_bytes", facts.store.block_cache_bytes);
    lines.put_bytes("write_buffer_bytes", facts.store.write_buffer_bytes);
    lines.put_bytes("row_cache_bytes", facts.store.row_bytes);
    let limits = facts.server.node.memory.shared.cache_limits();
    lines.put_bytes("block_cache_bytes_max", limits.block_bytes as u64);
    lines.put_bytes("row_cache_bytes_max", limits.row_bytes as u64);
    lines.put_bytes("unsettled_bytes", facts.store.unsettled_bytes);
    lines.put_bytes("retained_bytes", facts.store.retained_bytes);
    lines.put_bytes("allocator_unused_bytes", allocator.unused);
    lines.put("allocator_purges", facts.server.node.memory.purges());
}

pub(super) fn cpu(_: &Facts<'_>, lines: &mut Lines) {
    let (all, thread) = (process::cpu_times(), process::thread_cpu_times());
    for (field, seconds) in [
        ("used_cpu_sys", all.system),
        ("used_cpu_user", all.user),
        ("used_cpu_sys_children", 0.0),
        ("used_cpu_user_children", 0.0),
        ("used_cpu_sys_main_thread", thread.system),
        ("used_cpu_user_main_thread", thread.user),
    ] {
        lines.put(field, format_args!("{seconds:.6}"));
    }
}
