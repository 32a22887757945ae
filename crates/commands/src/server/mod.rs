//! The commands that the server carries out itself: connections, transactions, pub/sub, the process. Only their
//! specs are here.

mod connection;
mod transactions;

use crate::Spec;

/// Connections.
pub static CONNECTION: &[Spec] = connection::COMMANDS;
/// Transactions.
pub static TRANSACTIONS: &[Spec] = transactions::COMMANDS;
