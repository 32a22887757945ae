//! The commands that concern connections, transactions, pub/sub or the process. Their specs stand in the table of
//! `haypile-commands`; their functions are found by full name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use haypile_commands::table::{self, Known};
use haypile_commands::{CommandError, Cx, Group, Outcome};
use haypile_node::Node;
use haypile_node::partitions::{LOADING, OpenPartition};
use haypile_node::random::SplitMix64;
use haypile_partition::Turn;
use haypile_resp::{Reply, Request};
use haypile_store::Tier;

use crate::client::Client;
use crate::session::Session;
use crate::state::ServerState;

mod acl;
mod admin;
mod client;
mod command_cmd;
mod config_cmd;
mod connection;
mod debug;
mod group;
mod help;
mod info_cmd;
mod latency_cmd;
mod memory;
mod pubsub;
mod replication;
mod slowlog_cmd;
mod topology;
mod transaction;

pub use transaction::discard_refused;

/// What a command of the server's own may see and do.
pub struct ServerCx<'a, 't> {
    /// The partitions and what they share.
    pub node: &'a Arc<Node>,
    /// What those share who serve clients.
    pub server: &'a Arc<ServerState>,
    /// The client.
    pub client: &'a Arc<Client>,
    /// The connection's state.
    pub session: &'a mut Session,
    /// The reply.
    pub reply: &'a mut Reply,
    /// The right to write, if the command was evaluated in a turn: always for those of [`needs_turn`].
    pub turn: Option<&'a mut Turn<'t>>,
    /// How far reads may go.
    pub tier: Tier,
    /// False within EXEC: what would wait replies at once.
    pub may_block: bool,
}

impl ServerCx<'_, '_> {
    /// Index of the last entry in the log: within a turn, with what it has evaluated.
    pub fn log_end(&self) -> u64 {
        let position = match &self.turn {
            Some(turn) => turn.position(),
            None => self.node.partitions.stats().position,
        };
        position.index
    }

    /// Lets `body` read the selected database, from the disk if need be, within a turn or not.
    ///
    /// # Errors
    /// What `body` says, or that the store cannot be read.
    pub fn inspect<R>(&mut self, body: impl FnOnce(&mut Cx<'_>) -> Result<R, CommandError>) -> Result<R, CommandError> {
        let db = self.session.db;
        match self.turn.as_deref_mut() {
            Some(turn) => turn.inspect(db, body),
            None => data_of(self.node)?.inspect(db, &mut SplitMix64::from_system(), body),
        }
    }
}

/// The partition, or the error while there is none.
fn data_of(node: &Node) -> Result<Arc<OpenPartition>, CommandError> {
    node.partitions.the_one().clone().ok_or(LOADING)
}

/// A command's function.
pub type Execute = fn(&mut ServerCx<'_, '_>, &Request) -> Outcome;

/// Functions by full name.
const FAMILIES: &[&[(&str, Execute)]] = &[
    acl::FUNCTIONS,
    admin::FUNCTIONS,
    client::FUNCTIONS,
    command_cmd::FUNCTIONS,
    config_cmd::FUNCTIONS,
    connection::FUNCTIONS,
    debug::FUNCTIONS,
    group::FUNCTIONS,
    info_cmd::FUNCTIONS,
    latency_cmd::FUNCTIONS,
    memory::FUNCTIONS,
    pubsub::FUNCTIONS,
    replication::FUNCTIONS,
    slowlog_cmd::FUNCTIONS,
    topology::FUNCTIONS,
    transaction::FUNCTIONS,
];

static BY_ID: LazyLock<Vec<Option<Execute>>> = LazyLock::new(|| {
    let by_name: HashMap<&str, Execute> = FAMILIES.iter().flat_map(|f| f.iter().copied()).collect();
    let mut by_id = vec![None; table::count()];
    for known in table::known_with_subcommands() {
        let own = by_name.get(known.full_name.as_str()).copied();
        // Every container of the server's own has a HELP, and all of them the same.
        let help = (known.spec.name == "help").then_some(help::help as Execute);
        by_id[known.id] = own.or(help);
    }
    by_id
});

/// Evaluates a command of the server's own.
pub fn execute(known: &'static Known, cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match BY_ID[known.id] {
        Some(function) => function(cx, request),
        None => Err(CommandError::reply(format!(
            "ERR '{}' is not implemented",
            known.full_name
        ))),
    }
}

/// True for a command that is evaluated only in a turn.
pub fn needs_turn(known: &Known, session: &Session) -> bool {
    match known.spec.name {
        "exec" | "watch" | "wait" | "waitaof" => true,
        "discard" | "unwatch" | "reset" => session.watch.is_some(),
        _ => false,
    }
}

/// True for a command that is about the whole server: what came before it on its connection is committed first. Within
/// EXEC it has to do with the turn.
pub fn runs_outside_of_turn(known: &Known) -> bool {
    matches!(known.spec.group, Group::Server | Group::Scripting)
}

/// True for a command that is carried out within MULTI instead of being queued.
pub fn runs_in_multi(known: &Known) -> bool {
    matches!(
        known.full_name.as_str(),
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// True for a command that a subscribed RESP2 client may send.
pub fn runs_while_subscribed(known: &Known) -> bool {
    matches!(
        known.full_name.as_str(),
        "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

/// True for a command that answers with messages, which CLIENT REPLY does not silence.
pub fn replies_with_messages(known: &Known) -> bool {
    pubsub::replies_with_messages(known.spec.name)
}

/// True for a command that says who is subscribed. Clients send it right after a SUBSCRIBE on another connection, whose
/// confirmation they have not waited for, and expect to be told of it, as the single thread of Redis does.
pub fn asks_about_subscribers(known: &Known) -> bool {
    known.full_name.starts_with("pubsub|") && known.spec.name != "help"
}

/// True for a command that reads or writes files, however long that takes: it is evaluated on the pool.
pub fn works_on_files(known: &Known) -> bool {
    known.spec.group == Group::Server && matches!(known.full_name.as_str(), "acl|load" | "acl|save" | "config|rewrite")
}

/// True for a command without the write flag that a pause of writes holds up all the same, as in Redis.
pub fn counts_as_write(known: &Known) -> bool {
    matches!(known.spec.name, "publish" | "spublish" | "pfcount")
}
