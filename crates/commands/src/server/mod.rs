//! The commands that the server carries out itself: connections, transactions, pub/sub, the process. Only their
//! specs are here.

mod connection;
mod pubsub;
mod transactions;

use crate::Spec;

/// Connections.
pub static CONNECTION: &[Spec] = connection::COMMANDS;
/// Pub/sub.
pub static PUBSUB: &[Spec] = pubsub::COMMANDS;
/// Transactions.
pub static TRANSACTIONS: &[Spec] = transactions::COMMANDS;
