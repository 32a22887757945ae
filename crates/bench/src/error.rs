//! What can go wrong; every error ends the run, so the text is for a person.

use std::io;
use std::path::PathBuf;

use haypile_resp::ProtocolError;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ctrl-C or SIGTERM; everything that was started has been stopped.
    #[error("interrupted")]
    Interrupted,
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The first word of its command line.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A server did not answer PING, or ended before it did.
    #[error("{name} did not come up: {why}\n{log}")]
    NotUp {
        /// The peer's name.
        name: String,
        /// What was seen.
        why: String,
        /// The end of its output.
        log: String,
    },
    /// `redis-benchmark` failed, or printed what cannot be read.
    #[error("redis-benchmark {line}: {why}")]
    Benchmark {
        /// Its arguments.
        line: String,
        /// What was wrong.
        why: String,
    },
    /// A server gave a reply that makes the figures worthless.
    #[error("{command}: {reply}")]
    Reply {
        /// The command.
        command: String,
        /// The reply.
        reply: String,
    },
    /// The connection to a server broke.
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
    /// A server sent what is not a reply.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The store of a server that was stopped cannot be read.
    #[error(transparent)]
    Store(#[from] haypile_store::StoreError),
    /// A file of this program.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was waited for did not come.
    #[error("{what}: not within {} s\n{seen}", .limit.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: std::time::Duration,
        /// What was seen instead.
        seen: String,
    },
    /// An argument that cannot be used.
    #[error("{0}")]
    Usage(String),
}
