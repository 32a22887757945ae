//! The rooms within crates, and which of them may name which.

/// A room, and those that it may name.
pub type Room = (&'static str, &'static [&'static str]);

/// The rooms of a crate, files or folders, each with those that it may name by `crate::`. What is a circle stands here as what it
/// is; another edge is a decision, as between crates.
pub const ROOMS: &[(&str, &[Room])] = &[
    (
        "partition",
        &[
            // What knows nobody, or only those above.
            ("error", &[]),
            ("identity", &[]),
            ("task", &[]),
            ("waiting", &["task"]),
            ("events", &["waiting"]),
            // The directory and its life.
            ("install", &["group", "identity", "open"]),
            ("open", &["group", "identity", "install", "panics", "role"]),
            // The gate: who may write, and why not.
            ("refusal", &["partition", "role"]),
            ("panics", &["partition", "task", "writing"]),
            ("role", &["identity", "partition", "turn", "writing"]),
            // A turn and its commit. They share the partition's state, which has the turn's parts: a circle.
            ("turn", &["events", "partition", "writing"]),
            ("commit", &["partition", "task", "writing"]),
            (
                "writing",
                &["commit", "group", "panics", "partition", "role", "task", "turn"],
            ),
            // What comes from elsewhere, and what is done beside the turns.
            ("replicated", &["events", "panics", "partition", "role", "waiting"]),
            (
                "group",
                &["commit", "panics", "partition", "replicated", "task", "writing"],
            ),
            ("background", &["commit", "partition"]),
            (
                "partition",
                &[
                    "commit", "events", "group", "identity", "open", "refusal", "role", "task", "turn", "waiting",
                    "writing",
                ],
            ),
        ],
    ),
    (
        "node",
        &[
            ("diverged_file", &[]),
            ("error", &[]),
            ("front", &[]),
            ("process", &[]),
            ("random", &[]),
            ("recovery", &[]),
            ("seldom", &[]),
            ("tls", &[]),
            ("partitions", &[]),
            ("memory", &["process"]),
            ("routing", &["partitions"]),
            ("options", &["partitions", "process", "random"]),
            ("open", &["options", "partitions", "recovery"]),
            ("stopping", &["front"]),
            ("pause", &["front", "partitions"]),
            // Connections know neither partitions nor roles.
            ("replication::transport", &["error", "random", "seldom", "tls"]),
            // The sides name `Replication`, which holds them together, and not each other.
            (
                "replication::source",
                &[
                    "replication",
                    "replication::layout",
                    "replication::peers",
                    "replication::transport",
                    "partitions",
                    "random",
                    "seldom",
                ],
            ),
            (
                "replication::follower",
                &[
                    "replication",
                    "replication::layout",
                    "replication::transport",
                    "diverged_file",
                    "options",
                    "partitions",
                    "random",
                ],
            ),
            (
                "replication::peers",
                &[
                    "replication",
                    "replication::transport",
                    "partitions",
                    "random",
                    "seldom",
                ],
            ),
            (
                "replication::roles",
                &[
                    "replication",
                    "replication::transport",
                    "error",
                    "partitions",
                    "pause",
                    "random",
                ],
            ),
            (
                "replication",
                &[
                    "error",
                    "front",
                    "open",
                    "partitions",
                    "pause",
                    "random",
                    "stopping",
                    "tls",
                ],
            ),
            (
                "node",
                &[
                    "error",
                    "front",
                    "memory",
                    "open",
                    "options",
                    "partitions",
                    "pause",
                    "random",
                    "replication",
                    "routing",
                    "stopping",
                    "tls",
                ],
            ),
        ],
    ),
    (
        "server",
        &[
            // What knows nobody, or only those above.
            ("checkpoint", &[]),
            ("compaction", &[]),
            ("data_dir", &[]),
            ("digests", &[]),
            ("latency", &[]),
            ("logging", &[]),
            ("mailbox", &[]),
            ("open_files", &[]),
            ("pool", &[]),
            ("sampler", &[]),
            ("slowlog", &[]),
            ("stats", &[]),
            ("users", &[]),
            ("access", &["users"]),
            ("cli", &["digests"]),
            ("client", &["mailbox", "users"]),
            ("monitor", &["client", "mailbox", "slowlog"]),
            ("diverged", &["monitor"]),
            ("pubsub", &["client", "mailbox"]),
            ("front", &["access", "mailbox", "pubsub", "users"]),
            ("session", &["client", "pubsub", "users"]),
            // What those share who serve clients, and who they are: what is below another names nothing above it.
            (
                "state",
                &[
                    "checkpoint",
                    "client",
                    "compaction",
                    "latency",
                    "logging",
                    "mailbox",
                    "monitor",
                    "pool",
                    "pubsub",
                    "sampler",
                    "slowlog",
                    "stats",
                    "users",
                ],
            ),
            ("info", &["client", "pubsub", "state", "stats", "users"]),
            ("metrics", &["info", "pubsub", "state", "stats", "users"]),
            ("http", &["access", "metrics", "state"]),
            (
                "commands",
                &[
                    "checkpoint",
                    "client",
                    "compaction",
                    "info",
                    "latency",
                    "open_files",
                    "pubsub",
                    "session",
                    "state",
                    "stats",
                    "users",
                ],
            ),
            (
                "job",
                &[
                    "access", "client", "commands", "mailbox", "pool", "session", "state", "users",
                ],
            ),
            ("io", &["access", "client", "job", "mailbox", "pubsub", "state"]),
        ],
    ),
];
