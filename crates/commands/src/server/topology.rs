//! Replication, cluster, modules: what a server that stands alone says of them.

use super::{CONTAINER, HELP, LOADING_STALE, SERVER};
use crate::{Categories, Flags, Group, Handler, Spec};

const REPLICATION: Flags = Flags::ADMIN
    .or(Flags::NOSCRIPT)
    .or(Flags::STALE)
    .or(Flags::NO_ASYNC_LOADING);

const CLUSTER: Spec = Spec {
    since: "3.0.0",
    group: Group::Cluster,
    flags: LOADING_STALE.or(Flags::FAST),
    ..SERVER
};

const fn about_cluster(name: &'static str, arity: i32, syntax: &'static str, summary: &'static str) -> Spec {
    Spec {
        name,
        summary,
        arity,
        syntax,
        flags: Flags::STALE,
        ..CLUSTER
    }
}

/// What the subcommands of GROUP that change something have in common.
const CHANGES_GROUP: Spec = Spec {
    since: "7.2.0",
    arity: 3,
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
    ..SERVER
};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "group",
        summary: "A container for commands about the replica group that this server is a member of.",
        complexity: "Depends on the subcommand",
        since: "7.2.0",
        arity: -2,
        flags: Flags::NONE,
        handler: Handler::Container,
        subcommands: &[
            Spec {
                name: "members",
                summary: "Returns who belongs to the replica group, as far as this member knows.",
                since: "7.2.0",
                arity: 2,
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(LOADING_STALE),
                ..SERVER
            },
            Spec {
                name: "add",
                summary: "Begins to add a member, which votes as soon as it has everything.",
                syntax: "number=host:port",
                ..CHANGES_GROUP
            },
            Spec {
                name: "remove",
                summary: "Begins to remove a member.",
                syntax: "number",
                ..CHANGES_GROUP
            },
            Spec {
                name: "handover",
                summary: "Hands the leader's office over to the member that can take it soonest.",
                arity: 2,
                ..CHANGES_GROUP
            },
            Spec {
                summary: "Returns helpful text about the subcommands of GROUP.",
                since: "7.2.0",
                ..HELP
            },
        ],
        ..SERVER
    },
    Spec {
        name: "role",
        summary: "Returns the replication role.",
        since: "2.8.12",
        flags: LOADING_STALE.or(Flags::NOSCRIPT).or(Flags::FAST),
        categories: Some(Categories::ADMIN.or(Categories::DANGEROUS)),
        ..SERVER
    },
    Spec {
        name: "replicaof",
        summary: "Configures the server as replica of another, or promotes it to a primary.",
        since: "5.0.0",
        arity: 3,
        flags: REPLICATION,
        syntax: "<host port|NO ONE>",
        ..SERVER
    },
    Spec {
        name: "slaveof",
        summary: "REPLICAOF under its old name.",
        arity: 3,
        flags: REPLICATION,
        syntax: "<host port|NO ONE>",
        ..SERVER
    },
    Spec {
        name: "replconf",
        summary: "An internal command: replicas ask for the sync port.",
        since: "3.0.0",
        arity: -1,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(LOADING_STALE).or(Flags::ALLOW_BUSY),
        ..SERVER
    },
    Spec {
        name: "psync",
        summary: "An internal command of Redis' replicas, who are told that this is no server for them.",
        since: "2.8.0",
        arity: -3,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT),
        syntax: "replicationid offset",
        ..SERVER
    },
    Spec {
        name: "sync",
        summary: "PSYNC under its old name.",
        flags: Flags::ADMIN.or(Flags::NOSCRIPT),
        ..SERVER
    },
    Spec {
        name: "failover",
        summary: "Starts a coordinated failover from a server to one of its replicas.",
        since: "6.2.0",
        arity: -1,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
        syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        ..SERVER
    },
    Spec {
        name: "cluster",
        summary: "A container for Redis Cluster commands; not in this version.",
        complexity: "Depends on the subcommand",
        arity: -2,
        flags: Flags::NONE,
        handler: Handler::Container,
        subcommands: &[
            about_cluster("info", 2, "", "Returns information about the state of a node."),
            about_cluster("keyslot", 3, "key:string", "Returns the hash slot for a key."),
            about_cluster("myid", 2, "", "Returns the ID of a node."),
            about_cluster("nodes", 2, "", "Returns the cluster configuration for a node."),
            Spec {
                since: "7.0.0",
                ..about_cluster("shards", 2, "", "Returns the mapping of cluster slots to shards.")
            },
            about_cluster("slots", 2, "", "Returns the mapping of cluster slots to nodes."),
            Spec {
                summary: "Returns helpful text about the subcommands of CLUSTER.",
                since: "5.0.0",
                group: Group::Cluster,
                ..HELP
            },
        ],
        ..CLUSTER
    },
    Spec {
        name: "readonly",
        summary: "Allows reads from a replica of a cluster.",
        categories: Some(Categories::CONNECTION),
        ..CLUSTER
    },
    Spec {
        name: "readwrite",
        summary: "Ends the effect of READONLY.",
        categories: Some(Categories::CONNECTION),
        ..CLUSTER
    },
    Spec {
        name: "asking",
        summary: "Signals that a cluster client is following an ASK redirection.",
        flags: Flags::FAST,
        categories: Some(Categories::CONNECTION),
        ..CLUSTER
    },
    Spec {
        name: "module",
        summary: "A container for module commands; there are no modules.",
        since: "4.0.0",
        subcommands: &[
            Spec {
                name: "list",
                summary: "Returns all loaded modules: none.",
                since: "4.0.0",
                arity: 2,
                flags: Flags::ADMIN.or(Flags::NOSCRIPT),
                ..SERVER
            },
            Spec {
                summary: "Returns helpful text about the subcommands of MODULE.",
                since: "5.0.0",
                ..HELP
            },
        ],
        ..CONTAINER
    },
    Spec {
        name: "function",
        summary: "A container for function commands; there are no functions.",
        since: "7.0.0",
        group: Group::Scripting,
        subcommands: &[
            Spec {
                name: "flush",
                summary: "Deletes all libraries and functions: there are none.",
                since: "7.0.0",
                group: Group::Scripting,
                arity: -2,
                syntax: "[ASYNC|SYNC]",
                flags: Flags::WRITE.or(Flags::NOSCRIPT),
                ..SERVER
            },
            Spec {
                name: "list",
                summary: "Returns information about all libraries: none.",
                since: "7.0.0",
                group: Group::Scripting,
                arity: -2,
                syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
                flags: Flags::NOSCRIPT,
                ..SERVER
            },
            Spec {
                summary: "Returns helpful text about the subcommands of FUNCTION.",
                since: "7.0.0",
                group: Group::Scripting,
                ..HELP
            },
        ],
        ..CONTAINER
    },
];
