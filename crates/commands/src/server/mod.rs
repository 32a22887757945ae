//! The commands that the server carries out itself: connections, transactions, pub/sub, the process. Only their
//! specs are here.

mod acl;
mod admin;
mod config;
mod connection;
mod introspection;
mod memory_usage;
mod pubsub;
mod topology;
mod transactions;

pub use memory_usage::key_bytes;

use crate::{Flags, Group, Handler, SPEC, Spec};

/// Connections.
pub static CONNECTION: &[Spec] = connection::COMMANDS;
/// Pub/sub.
pub static PUBSUB: &[Spec] = pubsub::COMMANDS;
/// Transactions.
pub static TRANSACTIONS: &[Spec] = transactions::COMMANDS;
/// Saving, shutting down and other work on the process.
pub static ADMIN: &[Spec] = admin::COMMANDS;
/// Configuration, statistics and what is known of commands.
pub static INTROSPECTION: &[Spec] = &[
    introspection::COMMAND,
    config::CONFIG,
    introspection::INFO,
    introspection::LATENCY,
    introspection::MEMORY,
    introspection::SLOWLOG,
];
/// Users.
pub static USERS: &[Spec] = &[acl::ACL];
/// Replication, cluster and modules.
pub static TOPOLOGY: &[Spec] = topology::COMMANDS;

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);

/// A command of the group `server` that the server carries out.
const SERVER: Spec = Spec {
    group: Group::Server,
    handler: Handler::Server,
    ..SPEC
};

/// The same, for operators.
const OPERATOR: Spec = Spec {
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(LOADING_STALE),
    ..SERVER
};

/// A command of the group `server` that only holds others.
const CONTAINER: Spec = Spec {
    group: Group::Server,
    complexity: "Depends on the subcommand",
    arity: -2,
    ..SPEC
};

/// A subcommand HELP.
const HELP: Spec = Spec {
    name: "help",
    arity: 2,
    flags: LOADING_STALE,
    ..SERVER
};
