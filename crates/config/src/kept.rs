//! The table of keys that Redis has and Haypile does not need: programs, client libraries and test suites read and set
//! them, so they are accepted, checked and kept, and nothing else.
//!
//! A key whose absence would be a danger is not here on purpose: what asks for a module is unknown
//! and stops the server with a clear message.

use std::collections::BTreeMap;

use super::codec::{Codec, Number, Size, Text, Word, YesNo};
use super::key::{Change, Key, kept};
use super::kinds::{OnlyYes, OomScores, SavePoints, SizeOrPercent};

/// The values of the keys without effect, as CONFIG GET prints them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept(BTreeMap<&'static str, String>);

impl Kept {
    /// The value of a key; empty for a name that is not in the table.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn put(&mut self, name: &'static str, value: String) {
        self.0.insert(name, value);
    }
}

/// A count or a time from 0 to what Redis takes.
const COUNT: Number<i64> = Number::new(0, i64::MAX, "");
const INT: Number<i64> = Number::new(0, i32::MAX as i64, "");
const SIGNED: Number<i64> = Number::new(i32::MIN as i64, i32::MAX as i64, "");
const PERCENT: Number<i64> = Number::new(1, 99, "");
const BYTES: Size = Size::from(0);

kept! {
    /// What is not packed has one layout on disk, so there is nothing to choose.
    "Encodings" {
        "list-compress-depth", INT, "0", RunTime;
        "stream-node-max-bytes", BYTES, "4096", RunTime;
        "stream-node-max-entries", COUNT, "100", RunTime;
        "activerehashing", YesNo, "yes", RunTime;
        "sanitize-dump-payload", Word(&["no", "yes", "clients"]), "no", RunTime;
    }
    /// Data is on disk, so nothing is evicted; what memory is used for is set by memory-budget.
    "Eviction" {
        "maxmemory", BYTES, "0", RunTime;
        "maxmemory-policy", Word(&["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"]), "noeviction", RunTime;
        "maxmemory-samples", Number::<i64>::new(1, 64, ""), "5", RunTime;
        "maxmemory-eviction-tenacity", Number::<i64>::new(0, 100, ""), "10", RunTime;
        "maxmemory-clients", SizeOrPercent, "0", RunTime;
        "lfu-log-factor", INT, "10", RunTime;
        "lfu-decay-time", INT, "1", RunTime;
        "lazyfree-lazy-eviction", YesNo, "no", RunTime;
        "lazyfree-lazy-expire", YesNo, "no", RunTime;
        "lazyfree-lazy-server-del", YesNo, "no", RunTime;
        "lazyfree-lazy-user-del", YesNo, "no", RunTime;
        "lazyfree-lazy-user-flush", YesNo, "no", RunTime;
        "tracking-table-max-keys", COUNT, "1000000", RunTime;
    }
    /// Memory is left to the allocator and to RocksDB.
    "Defragmentation" {
        "activedefrag", YesNo, "no", RunTime;
        "active-defrag-ignore-bytes", BYTES, "104857600", RunTime;
        "active-defrag-threshold-lower", Number::<i64>::new(0, 1000, ""), "10", RunTime;
        "active-defrag-threshold-upper", Number::<i64>::new(0, 1000, ""), "100", RunTime;
        "active-defrag-cycle-min", PERCENT, "1", RunTime;
        "active-defrag-cycle-max", PERCENT, "25", RunTime;
        "active-defrag-max-scan-fields", Number::<i64>::new(1, i64::MAX, ""), "1000", RunTime;
        "jemalloc-bg-thread", YesNo, "yes", RunTime;
    }
    /// Every write is logged and stored; when it is safe is set by sync. There is no dump file to write.
    "Snapshots and append-only file" {
        "save", SavePoints, "", RunTime;
        "dbfilename", Text, "dump.rdb", Protected;
        "rdbcompression", YesNo, "yes", RunTime;
        "rdbchecksum", YesNo, "yes", AtStart;
        "rdb-del-sync-files", YesNo, "no", RunTime;
        "rdb-save-incremental-fsync", YesNo, "yes", RunTime;
        "rdb-key-save-delay", SIGNED, "0", RunTime;
        "key-load-delay", SIGNED, "0", RunTime;
        "stop-writes-on-bgsave-error", YesNo, "yes", RunTime;
        "appendonly", YesNo, "yes", RunTime;
        "appendfilename", Text, "appendonly.aof", AtStart;
        "appenddirname", Text, "appendonlydir", AtStart;
        "no-appendfsync-on-rewrite", YesNo, "no", RunTime;
        "auto-aof-rewrite-percentage", INT, "100", RunTime;
        "auto-aof-rewrite-min-size", BYTES, "67108864", RunTime;
        "aof-load-truncated", YesNo, "yes", RunTime;
        "aof-use-rdb-preamble", YesNo, "yes", RunTime;
        "aof-rewrite-incremental-fsync", YesNo, "yes", RunTime;
        "aof-timestamp-enabled", YesNo, "no", RunTime;
        "aof-disable-auto-gc", YesNo, "no", RunTime;
    }
    /// Replication is Haypile's own: a replica is always read-only, and what Redis' backlog does the log does.
    "Replication" {
        "replica-read-only" | "slave-read-only", OnlyYes("a replica's log is a part of its primary's"), "yes", RunTime;
        "replica-lazy-flush" | "slave-lazy-flush", YesNo, "no", RunTime;
        "replica-ignore-maxmemory" | "slave-ignore-maxmemory", YesNo, "yes", RunTime;
        "replica-ignore-disk-write-errors", YesNo, "no", RunTime;
        "repl-backlog-size", Size::from(1), "1048576", RunTime;
        "repl-backlog-ttl", COUNT, "3600", RunTime;
        "repl-disable-tcp-nodelay", YesNo, "no", RunTime;
        "repl-diskless-load", Word(&["disabled", "on-empty-db", "swapdb"]), "disabled", RunTime;
        "repl-diskless-sync", YesNo, "yes", RunTime;
        "repl-diskless-sync-delay", INT, "5", RunTime;
        "repl-diskless-sync-max-replicas", INT, "0", RunTime;
        "repl-ping-replica-period" | "repl-ping-slave-period", Number::<i64>::new(1, i32::MAX as i64, ""), "10", RunTime;
        "propagation-error-behavior", Word(&["ignore", "panic", "panic-on-replicas"]), "ignore", RunTime;
        "cluster-enabled", Word(&["no"]), "no", AtStart;
    }
    /// All cipher suites that TLS has here are secure (forward secrecy, authenticated encryption); sessions end with the cache.
    "TLS" {
        "tls-ciphers", Text, "", RunTime;
        "tls-ciphersuites", Text, "", RunTime;
        "tls-dh-params-file", Text, "", RunTime;
        "tls-session-cache-timeout", INT, "300", RunTime;
        "tls-cluster", Word(&["no"]), "no", RunTime;
    }
    /// These need nothing of the kind: the server stays in the foreground and leaves its supervision to others.
    "Process" {
        "daemonize", Word(&["no"]), "no", AtStart;
        "supervised", Word(&["no", "upstart", "systemd", "auto"]), "no", AtStart;
        "pidfile", Text, "", AtStart;
        "always-show-logo", YesNo, "no", AtStart;
        "set-proc-title", YesNo, "yes", AtStart;
        "proc-title-template", Text, "{title} {listen-addr} {server-mode}", RunTime;
        "oom-score-adj", Word(&["no", "yes", "relative", "absolute"]), "no", RunTime;
        "oom-score-adj-values", OomScores, "0 200 800", RunTime;
        "disable-thp", YesNo, "yes", AtStart;
        "crash-log-enabled", YesNo, "yes", RunTime;
        "crash-memcheck-enabled", YesNo, "yes", RunTime;
        "watchdog-period", INT, "0", RunTime;
        "dynamic-hz", YesNo, "yes", RunTime;
        "io-threads-do-reads", YesNo, "no", AtStart;
        "close-on-oom", YesNo, "no", RunTime;
        "shutdown-timeout", INT, "10", RunTime;
        "busy-reply-threshold" | "lua-time-limit", COUNT, "5000", RunTime;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Values;

    #[test]
    fn each_default_is_readable_and_prints_as_itself() {
        let mut values = Values::default();
        for key in KEPT {
            (key.parse)(&mut values, key.default).unwrap_or_else(|reason| panic!("{}: {reason}", key.name));
            assert_eq!((key.print)(&values), key.default, "{}", key.name);
        }
    }
}
