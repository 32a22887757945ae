//! The table of keys that have an effect. Each is declared here once; its field, flag, place in the file, answer to
//! CONFIG GET and documentation follow from the declaration.

use std::path::PathBuf;

use haypile_oplog::SyncPolicy;
use haypile_store::Compression;

use super::codec::{Choice, Codec, Content, Number, Path, Secret, Size, Text, YesNo, of_type};
use super::key::{Change, Key, settings};
use super::kinds::{
    BindAddress, BindAddresses, BufferLimits, BufferLimitsByClass, Host, HostPort, Member, Members, NotifyFlags,
    NotifyLetters, Percentiles, TlsProtocols,
};

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything, for developers.
    Trace,
    /// What is needed to find an error in the server.
    Debug,
    /// More than an operator usually wants.
    Verbose,
    /// What an operator wants.
    Notice,
    /// Only what needs attention.
    Warning,
}

/// The form of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Who may use something dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Nobody.
    No,
    /// Everybody.
    Yes,
    /// Clients on the loopback interface.
    Local,
}

impl Allow {
    /// Whether a client is allowed; `local` says that it came over the loopback interface.
    pub fn allows(self, local: bool) -> bool {
        self == Self::Yes || (self == Self::Local && local)
    }
}

/// Whether TLS clients must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthClients {
    /// They are asked for none.
    No,
    /// They must.
    Yes,
    /// If they have one, it must be right.
    Optional,
}

const ALLOW: Choice<Allow> = Choice(&[("no", Allow::No), ("yes", Allow::Yes), ("local", Allow::Local)]);
const AUTH_CLIENTS: Choice<AuthClients> = Choice(&[
    ("no", AuthClients::No),
    ("yes", AuthClients::Yes),
    ("optional", AuthClients::Optional),
]);
const PUBSUB_DEFAULT: Choice<bool> = Choice(&[("allchannels", true), ("resetchannels", false)]);
const SYNC: Choice<SyncPolicy> = Choice(&[
    ("always", SyncPolicy::Always),
    ("everysec", SyncPolicy::EverySec),
    ("os", SyncPolicy::Os),
    ("no", SyncPolicy::Os),
]);
const APPENDFSYNC: Choice<SyncPolicy> = Choice(&[
    ("everysec", SyncPolicy::EverySec),
    ("always", SyncPolicy::Always),
    ("no", SyncPolicy::Os),
]);
const LOG_LEVEL: Choice<LogLevel> = Choice(&[
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("verbose", LogLevel::Verbose),
    ("notice", LogLevel::Notice),
    ("warning", LogLevel::Warning),
]);
const LOG_FORMAT: Choice<LogFormat> = Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
const COMPRESSION: Choice<Compression> = Choice(&[
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
    ("none", Compression::None),
]);

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

settings! {
    "Network" {
        /// The TCP port for clients. 0 takes any free port, which the banner names; with a tls-port, 0 turns it off.
        port: u16 => "port", Number::new(0, 65535, ""), "9221", AtStart;
        /// The addresses to listen on.
        bind: Vec<BindAddress> => "bind", BindAddresses, "127.0.0.1", AtStart;
        /// While no password is set, refuse clients that do not come over the loopback interface.
        protected_mode: bool => "protected-mode", YesNo, "yes", RunTime;
        /// The port for HTTP: /metrics and /healthz. 0 turns it off.
        http_port: u16 => "http-port", Number::new(0, 65535, ""), "9222", AtStart;
        /// How many connections may wait to be accepted. The kernel may lower it (net.core.somaxconn).
        tcp_backlog: u32 => "tcp-backlog", Number::new(1, 65535, "connections"), "511", AtStart;
        /// How often a silent connection is probed, so that dead peers are noticed. 0 turns it off.
        tcp_keepalive: u32 => "tcp-keepalive", Number::new(0, 32767, "seconds"), "300", RunTime;
        /// Close a connection that has been idle this long. 0 never does.
        timeout: u32 => "timeout", Number::new(0, 2147483647, "seconds"), "0", RunTime;
        /// How many clients may be connected at once. Lowered at start when `ulimit -n` does not allow so many.
        maxclients: u32 => "maxclients", Number::new(1, u32::MAX, "clients"), "10000", RunTime;
    }
    "Access" {
        /// The password of the default user, which clients must give with AUTH or HELLO. Empty asks for none. A line about the
        /// default user, in the configuration file or in aclfile, says all of it, and this is not looked at.
        requirepass: String => "requirepass", Secret, "", RunTime;
        /// The file in which users are kept, as lines of `user NAME RULE ...`. ACL SAVE writes it, ACL LOAD reads it again. The
        /// server does not start if it is missing or wrong. Without it, such lines may stand in the configuration file, and
        /// CONFIG REWRITE writes them there.
        aclfile: String => "aclfile", Text, "", AtStart;
        /// Which channels a new user may use: allchannels or resetchannels, which is none.
        acl_pubsub_default: bool => "acl-pubsub-default", PUBSUB_DEFAULT, "resetchannels", RunTime;
        /// How many refusals ACL LOG keeps.
        acllog_max_len: u64 => "acllog-max-len", Number::new(0, i64::MAX as u64, "entries"), "128", RunTime;
        /// The user of the HTTP port, for basic authentication with http-password.
        http_user: String => "http-user", Text, "haypile", RunTime;
        /// The password of the HTTP port. Empty lets every user in who may run INFO, with the password that it has for clients,
        /// and asks for nothing as long as the default user needs no password. /healthz
        /// says without a password whether the server is well, but not why it isn't.
        http_password: String => "http-password", Secret, "", RunTime;
        /// Who may use DEBUG; local means clients on the loopback interface.
        enable_debug_command: Allow => "enable-debug-command", ALLOW, "local", AtStart;
        /// Who may change protected keys with CONFIG SET; local means clients on the loopback interface.
        enable_protected_configs: Allow => "enable-protected-configs", ALLOW, "no", AtStart;
    }
    "TLS" {
        /// The port for clients that speak TLS. 0 turns it off.
        tls_port: u16 => "tls-port", Number::new(0, 65535, ""), "0", AtStart;
        /// The server's certificate and those between it and the CA, as PEM. CONFIG SET reads it again, also if the name
        /// is the same; a file that cannot be used changes nothing. So it is with all files of TLS.
        tls_cert_file: String => "tls-cert-file", Content, "", RunTime;
        /// The private key of tls-cert-file, as PEM.
        tls_key_file: String => "tls-key-file", Content, "", RunTime;
        /// The password of tls-key-file, if it is encrypted (PKCS#8).
        tls_key_file_pass: String => "tls-key-file-pass", Secret, "", RunTime;
        /// The certificate with which this server connects to others. Empty takes tls-cert-file.
        tls_client_cert_file: String => "tls-client-cert-file", Content, "", RunTime;
        /// The private key of tls-client-cert-file.
        tls_client_key_file: String => "tls-client-key-file", Content, "", RunTime;
        /// The password of tls-client-key-file.
        tls_client_key_file_pass: String => "tls-client-key-file-pass", Secret, "", RunTime;
        /// Certificates of the CAs that clients and other servers are trusted by, as PEM.
        tls_ca_cert_file: String => "tls-ca-cert-file", Content, "", RunTime;
        /// A directory of such files, all of which are read.
        tls_ca_cert_dir: String => "tls-ca-cert-dir", Content, "", RunTime;
        /// Whether clients must have a certificate from one of the CAs: yes, no (they are not asked), or optional (if
        /// they have one, it must be right). It is so for replicas too.
        tls_auth_clients: AuthClients => "tls-auth-clients", AUTH_CLIENTS, "yes", RunTime;
        /// Whether replication is by TLS: a replica connects to its primary's tls-port and sync port so, and this
        /// server's own sync port takes nothing else.
        tls_replication: bool => "tls-replication", YesNo, "no", RunTime;
        /// Which versions may be used: any of TLSv1.2 and TLSv1.3. Empty is both.
        tls_protocols: String => "tls-protocols", TlsProtocols, "", RunTime;
        /// Whether the server's order of preference of cipher suites counts, instead of the client's.
        tls_prefer_server_ciphers: bool => "tls-prefer-server-ciphers", YesNo, "no", RunTime;
        /// Whether a client that comes back may go on with the keys that it had, which is faster.
        tls_session_caching: bool => "tls-session-caching", YesNo, "yes", RunTime;
        /// How many clients' keys are kept for that.
        tls_session_cache_size: u32 => "tls-session-cache-size", Number::new(0, 1_000_000, "sessions"), "20480", RunTime;
        /// How long a TLS handshake may take, before the connection is closed.
        tls_handshake_timeout: u32 => "tls-handshake-timeout", Number::new(1, 3600, "seconds"), "10", RunTime;
    }
    "Data" {
        /// The directory that holds all data. It is created if missing, and one server at a time may use it.
        dir: PathBuf => "dir", Path, "./haypile-data", AtStart;
        /// How many databases SELECT can choose from.
        databases: u16 => "databases", Number::new(1, 256, "databases"), "16", AtStart;
        /// When a write is safe from a power failure. With always before it is acknowledged (writes that wait together
        /// share one fdatasync), with everysec within about a second, with os when the operating system writes it out.
        /// A crash of the server alone loses no acknowledged write with any of them.
        sync: SyncPolicy => "sync", SYNC, "everysec", RunTime;
        /// Writes are refused while the file system of `dir` has less room than this; reads go on, and writes resume
        /// by themselves. 0 never refuses.
        disk_free_min_bytes: u64 => "disk-free-min-bytes", Size::from(0), "64mb", RunTime;
        /// The longest HyperLogLog that is kept in the sparse encoding, its header included. A longer one becomes dense, at
        /// 12304 bytes, when it grows next; the estimates are the same.
        hll_sparse_max_bytes: u64 => "hll-sparse-max-bytes", Size::from(0), "3000", RunTime;
    }
    "Operation log" {
        /// The size of one segment file. Segments are preallocated and recycled.
        oplog_segment_bytes: u64 => "oplog-segment-bytes", Size::between(MB, 4 * GB), "64mb", AtStart;
        /// How much log is kept for whoever comes and wants to go on. What the store has not flushed yet is kept regardless.
        oplog_retention_bytes: u64 => "oplog-retention-bytes", Size::from(16 * MB), "1gb", RunTime;
        /// How long log is kept for whoever comes, within oplog-retention-bytes. 0 sets no limit by age.
        oplog_retention_hours: u32 => "oplog-retention-hours", Number::new(0, 87600, "hours"), "24", RunTime;
        /// How much log is kept in all if somebody is known to need it: replicas that are behind, and those that copy a
        /// checkpoint and go on where it ends. Past this, or when the disk is nearly full, the oldest goes, and they copy
        /// another checkpoint.
        oplog_pinned_max_bytes: u64 => "oplog-pinned-max-bytes", Size::from(0), "64gb", RunTime;
        /// How long a replica that is not connected counts among those.
        oplog_pinned_away_seconds: u32 => "oplog-pinned-away-seconds", Number::new(0, i32::MAX as u32, "seconds"), "3600", RunTime;
    }
    "Memory" {
        /// What the process may have resident: rows, block cache and write buffers, with what the allocator and the process
        /// need besides. What is resident is looked at all the time, and the caches give way to the rest. 0 takes a quarter
        /// of the memory that the machine (or the container) has. Connections and their buffers come on top, and for a moment
        /// what a single command needs that writes or reads very much. The process alone takes 24 MiB, so 64mb is the least
        /// that can be kept.
        memory_budget: u64 => "memory-budget", Size::from(32 * MB).or_zero(), "0", AtStart;
        /// The longest string a client may send in one command, and so the largest value.
        proto_max_bulk_len: u64 => "proto-max-bulk-len", Size::from(MB), "512mb", RunTime;
        /// How much a client may send ahead before it is disconnected.
        client_query_buffer_limit: u64 => "client-query-buffer-limit", Size::from(MB), "1gb", RunTime;
        /// How much unsent output a client may pile up: class, hard limit, soft limit, seconds that the soft limit
        /// may be exceeded. 0 means no limit. A class that is not named keeps its limits.
        client_output_buffer_limit: BufferLimits => "client-output-buffer-limit", BufferLimitsByClass, "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", RunTime;
    }
    "Small collections" {
        /// A hash with at most so many fields is kept in one row, which OBJECT ENCODING calls a listpack. This and the keys
        /// below take effect when a collection is written to; one that has become large stays so. No packed collection is
        /// larger than 8 KiB, whatever is set here.
        hash_max_listpack_entries: u64 => "hash-max-listpack-entries" | "hash-max-ziplist-entries", Number::new(0, i64::MAX as u64, "entries"), "512", RunTime;
        /// The longest field or value of such a hash.
        hash_max_listpack_value: u64 => "hash-max-listpack-value" | "hash-max-ziplist-value", Size::from(0), "64", RunTime;
        /// How large a list in one row may be: elements, or with -1 4 KiB and with -2 to -5 8 KiB.
        list_max_listpack_size: i64 => "list-max-listpack-size" | "list-max-ziplist-size", Number::new(i32::MIN as i64, i32::MAX as i64, ""), "-2", RunTime;
        /// A set of integers with at most so many members is kept in one row.
        set_max_intset_entries: u64 => "set-max-intset-entries", Number::new(0, i64::MAX as u64, "entries"), "512", RunTime;
        /// Any set with at most so many members is.
        set_max_listpack_entries: u64 => "set-max-listpack-entries", Number::new(0, i64::MAX as u64, "entries"), "128", RunTime;
        /// The longest member of such a set.
        set_max_listpack_value: u64 => "set-max-listpack-value", Size::from(0), "64", RunTime;
        /// A sorted set with at most so many members is kept in one row.
        zset_max_listpack_entries: u64 => "zset-max-listpack-entries" | "zset-max-ziplist-entries", Number::new(0, i64::MAX as u64, "entries"), "128", RunTime;
        /// The longest member of such a sorted set.
        zset_max_listpack_value: u64 => "zset-max-listpack-value" | "zset-max-ziplist-value", Size::from(0), "64", RunTime;
    }
    "Threads and background work" {
        /// Threads that serve connections. 0 takes one for every two processors, up to 16: the others have the background
        /// work of the store to do.
        io_threads: u16 => "io-threads", Number::new(0, 128, "threads"), "0", AtStart;
        /// Threads for reads that have to wait for the disk.
        io_pool_threads: u16 => "io-pool-threads", Number::new(1, 64, "threads"), "4", AtStart;
        /// How often a second background work such as expiry and idle connections is looked at.
        hz: u16 => "hz", Number::new(1, 500, "times a second"), "10", RunTime;
        /// How eagerly expired keys are removed before somebody asks for them; 10 works hardest.
        active_expire_effort: u8 => "active-expire-effort", Number::new(1, 10, ""), "1", RunTime;
    }
    "Log and observation" {
        /// How much is logged.
        loglevel: LogLevel => "loglevel", LOG_LEVEL, "notice", RunTime;
        /// The file to log to; SIGHUP opens it anew. Empty logs to standard error.
        logfile: String => "logfile", Text, "", AtStart;
        /// The form of a log line: text for people, json for programs.
        log_format: LogFormat => "log-format", LOG_FORMAT, "text", AtStart;
        /// Commands that take longer are kept for SLOWLOG. 0 keeps every command, -1 none.
        slowlog_log_slower_than: i64 => "slowlog-log-slower-than", Number::new(-1, i64::MAX, "microseconds"), "10000", RunTime;
        /// How many commands SLOWLOG keeps.
        slowlog_max_len: u64 => "slowlog-max-len", Number::new(0, i64::MAX as u64, "entries"), "128", RunTime;
        /// Events that take at least this long are kept for LATENCY. 0 turns it off.
        latency_monitor_threshold: u64 => "latency-monitor-threshold", Number::new(0, i64::MAX as u64, "milliseconds"), "0", RunTime;
        /// Whether durations of commands are counted for INFO latencystats, LATENCY HISTOGRAM and /metrics.
        latency_tracking: bool => "latency-tracking", YesNo, "yes", RunTime;
        /// The percentiles that INFO latencystats shows.
        latency_tracking_info_percentiles: String => "latency-tracking-info-percentiles", Percentiles("latency-tracking-info-percentiles"), "50 99 99.9", RunTime;
        /// Which keyspace events are published: K and E choose the channels (by key, by event), the other letters
        /// the classes. g generic, $ strings, l lists, s sets, h hashes, z sorted sets, x expired, e evicted,
        /// t streams, d modules, m misses, n new keys, A for g$lshzxetd. Empty publishes nothing.
        notify_keyspace_events: NotifyFlags => "notify-keyspace-events", NotifyLetters, "", RunTime;
    }
    "Replication" {
        /// The server to follow, as host and port. REPLICAOF changes it, and CONFIG REWRITE keeps that.
        replicaof: String => "replicaof" | "slaveof", HostPort, "", AtStart;
        /// The port for replicas, for Haypile's own protocol. -1 takes the port for clients plus 1000, or any free one if
        /// that is taken: replicas ask for it. 0 turns it off.
        sync_port: i32 => "sync-port", Number::new(-1, 65535, ""), "-1", AtStart;
        /// Makes this server a member of a replica group, in which a write is done when a majority has it, and another member takes over
        /// when the one that leads is gone: all members, this one included, as `number=host:port` with the ports for clients. The same at
        /// each of them. This is the first step towards the cluster and will give way to it: members cannot be added or replaced
        /// yet, and one that was away for longer than the log is kept does not catch up.
        group_members: Vec<Member> => "group-members", Members, "", AtStart;
        /// Which of the members this server is.
        group_member: u64 => "group-member", Number::new(0, i64::MAX as u64, ""), "0", AtStart;
        /// After how long a client is told that it is not known whether its write is done (INDOUBT), because too few members
        /// have answered.
        group_in_doubt_ms: u64 => "group-in-doubt-ms", Number::new(100, 3_600_000, "milliseconds"), "5000", AtStart;
        /// How many connections the sync port takes; a replica has one. When there are as many, those go first that have not
        /// sent a request which may be answered, which they must within ten seconds anyway.
        sync_connections_max: u32 => "sync-connections-max", Number::new(8, 4096, "connections"), "64", AtStart;
        /// How many bytes of files with writes that a full sync took away are kept in `<dir>/diverged/`: the oldest go first. 0 keeps
        /// all of them.
        diverged_max_bytes: u64 => "diverged-max-bytes", Size::from(0), "1gb", RunTime;
        /// The password that a replica gives to the server it follows.
        masterauth: String => "masterauth", Secret, "", RunTime;
        /// The user as whom a replica logs in. Empty is the default user.
        masteruser: String => "masteruser", Text, "", RunTime;
        /// Whether a replica answers while it has no connection to the server it follows, and so may answer with old data.
        replica_serve_stale_data: bool => "replica-serve-stale-data" | "slave-serve-stale-data", YesNo, "yes", RunTime;
        /// Which replica Sentinel promotes: the lowest number first, 0 never.
        replica_priority: u32 => "replica-priority" | "slave-priority", Number::new(0, i32::MAX as u32, ""), "100", RunTime;
        /// Whether Sentinel shows this replica to clients.
        replica_announced: bool => "replica-announced", YesNo, "yes", RunTime;
        /// The address at which others reach this replica, if it is not the one its connections come from.
        replica_announce_ip: String => "replica-announce-ip" | "slave-announce-ip", Host, "", RunTime;
        /// The port at which others reach this replica, if it is not its own. 0 is its own.
        replica_announce_port: u16 => "replica-announce-port" | "slave-announce-port", Number::new(0, 65535, ""), "0", RunTime;
        /// Writes are refused while fewer replicas than this are connected. 0 asks for none.
        min_replicas_to_write: u32 => "min-replicas-to-write" | "min-slaves-to-write", Number::new(0, i32::MAX as u32, "replicas"), "0", RunTime;
        /// A replica of which nothing has been heard for this long does not count for min-replicas-to-write.
        min_replicas_max_lag: u32 => "min-replicas-max-lag" | "min-slaves-max-lag", Number::new(0, i32::MAX as u32, "seconds"), "10", RunTime;
        /// A peer that has been silent for this long is dead.
        repl_timeout: u32 => "repl-timeout", Number::new(1, i32::MAX as u32, "seconds"), "10", RunTime;
        /// The shortest pause before a replica tries again what has failed. It doubles with each failure in a row.
        repl_retry_min_ms: u32 => "repl-retry-min-ms", Number::new(1, 3_600_000, "milliseconds"), "100", RunTime;
        /// The longest such pause, for what passes by itself. What lasts longer is tried up to thirty times as seldom.
        repl_retry_max_ms: u32 => "repl-retry-max-ms", Number::new(1, 3_600_000, "milliseconds"), "1000", RunTime;
        /// Failures in a row after which a replica waits for a person, who gives REPLICAOF again. 0 tries for ever.
        repl_max_attempts: u32 => "repl-max-attempts", Number::new(0, i32::MAX as u32, "attempts"), "0", RunTime;
        /// How many pieces of a checkpoint a replica fetches at the same time.
        repl_copy_workers: u32 => "repl-copy-workers", Number::new(1, 64, "workers"), "4", RunTime;
        /// How many bytes of a checkpoint a replica fetches in a second at most. 0 is no limit.
        repl_copy_bytes_per_second: u64 => "repl-copy-bytes-per-second", Size::from(0), "0", RunTime;
        /// How often fetching a file of a checkpoint may fail before the copy has failed.
        repl_copy_attempts: u32 => "repl-copy-attempts", Number::new(1, 1_000_000, "attempts"), "5", RunTime;
        /// How much of the log may be on its way to a replica that has not applied it.
        repl_window_bytes: u64 => "repl-window-bytes", Size::between(64 * KB, 4 * GB), "64mb", RunTime;
        /// Asks the primary to compress the log that it sends (Zstandard): for slow links. It costs CPU time on both sides.
        repl_compression: bool => "repl-compression", YesNo, "no", RunTime;
        /// Time between two messages with new entries to a replica, so that under load many entries share one. What is
        /// written after a pause goes at once, and so does everything while a client is in WAIT.
        repl_batch_delay_us: u32 => "repl-batch-delay-us", Number::new(0, 1_000_000, "microseconds"), "1000", RunTime;
        /// How many bytes of messages (PUBLISH, SPUBLISH) may wait for each replica. What a slow replica leaves no room
        /// for is not sent to it.
        repl_pubsub_buffer_bytes: u64 => "repl-pubsub-buffer-bytes", Size::between(64 * KB, 32 * MB), "16mb", RunTime;
    }
    "RocksDB" {
        /// Threads for flushes and compactions.
        rocksdb_max_background_jobs: u16 => "rocksdb-max-background-jobs", Number::new(2, 64, "threads"), "2", AtStart;
        /// How blocks are compressed: lz4 (fast), zstd (smaller: LZ4 above, Zstandard in the last level) or none. Old
        /// blocks keep theirs until compaction.
        rocksdb_compression: Compression => "rocksdb-compression", COMPRESSION, "lz4", AtStart;
        /// The size of one write buffer. 0 derives it from memory-budget.
        rocksdb_write_buffer_size: u64 => "rocksdb-write-buffer-size", Size::between(MB, 4 * GB).or_zero(), "0", AtStart;
        /// The size of a block before compression. Larger blocks compress better and make point reads slower.
        rocksdb_block_size: u64 => "rocksdb-block-size", Size::between(KB, MB), "4kb", AtStart;
    }
    mirrors {
        /// Redis' name for sync; its no is os.
        "Data" sync("sync") => "appendfsync", APPENDFSYNC, "everysec", RunTime;
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::defaults()
    }
}

impl Values {
    /// What the process may have resident, in bytes: `memory-budget`, or when that is 0 a
    /// quarter of `machine_bytes`, but not less than 64 MiB.
    pub fn memory_budget_bytes(&self, machine_bytes: u64) -> u64 {
        match self.memory_budget {
            0 => (machine_bytes / 4).max(64 * MB),
            bytes => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_they_say() {
        let values = Values::default();
        assert_eq!(values.port, 9221);
        assert_eq!(values.bind.len(), 1);
        assert_eq!(values.databases, 16);
        assert_eq!(values.sync, SyncPolicy::EverySec);
        assert_eq!(values.oplog_retention_bytes, GB);
        assert_eq!(values.client_output_buffer_limit.pubsub.soft_seconds, 60);
        assert_eq!(values.kept.get("maxmemory-policy"), "noeviction");
    }

    #[test]
    fn memory_budget_defaults_to_a_quarter() {
        let mut values = Values::default();
        assert_eq!(values.memory_budget_bytes(8 * GB), 2 * GB);
        assert_eq!(values.memory_budget_bytes(0), 64 * MB);
        values.memory_budget = 7 * MB;
        assert_eq!(values.memory_budget_bytes(8 * GB), 7 * MB);
    }
}
