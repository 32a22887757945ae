//! The server: a [`node::Node`] with its listeners and threads, the connections, and the commands that concern them.
//!
//! The way of a request: `io` reads it off a socket, [`job`] decides who evaluates it (a data command goes to the
//! partition: a read on the same thread, a write in a turn; a command of the server's own to [`commands`]), and its
//! reply goes back through `io` once what it says is committed.

mod access;
mod admission;
pub mod checkpoint;
pub mod cli;
pub mod client;
pub mod commands;
pub mod compaction;

pub mod digests;
pub mod diverged;
pub mod http;
pub mod info;
pub mod io;
pub mod job;
pub mod latency;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod monitor;
pub mod node;
pub mod open_files;
pub mod partitions;
pub mod pause;
pub mod pool;
pub mod process;
pub mod pubsub;
pub mod random;
pub mod recovery;
pub mod replication;
mod routing;
pub mod sampler;
pub mod session;
pub mod slowlog;
pub mod stats;
pub mod tls;
pub mod users;
