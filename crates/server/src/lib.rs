//! The server: a [`node::Node`] with its listeners and threads, the connections, and the commands that concern them.
//!
//! The way of a request: `io` reads it off a socket, [`job`] decides who evaluates it (a data command goes to the
//! partition: a read on the same thread, a write in a turn; a command of the server's own to [`commands`]), and its
//! reply goes back through `io` once what it says is committed.

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod io;
pub mod job;
pub mod logging;
pub mod node;
pub mod pool;
pub mod pubsub;
pub mod random;
pub mod session;
pub mod slowlog;
pub mod stats;
