//! The server: connections to the partitions of a [`Node`](haypile_node::Node), and the commands that concern them. [`server`] owns
//! the threads and listeners, from the start to the end; [`state`] is what they share.
//!
//! The way of a request: `io` reads it off a socket, [`job`] decides who evaluates it (a data command goes to the
//! partition: a read on the same thread, a write in a turn; a command of the server's own to [`commands`]), and its
//! reply goes back through `io` once what it says is committed.

mod access;
pub mod checkpoint;
pub mod cli;
pub mod client;
pub mod commands;
pub mod compaction;
mod data_dir;
pub mod digests;
pub mod diverged;
mod front;
pub mod http;
pub mod info;
pub mod io;
pub mod job;
pub mod latency;
pub mod logging;
pub mod mailbox;
pub mod metrics;
pub mod monitor;
pub mod open_files;
pub mod pool;
pub mod pubsub;
pub mod sampler;
pub mod server;
pub mod session;
pub mod slowlog;
pub mod state;
pub mod stats;
pub mod users;
