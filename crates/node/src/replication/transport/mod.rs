//! Connections between servers, and how messages travel on them: from an address to a connection with TLS or without, what comes to
//! the sync port, and the entries of a batch as bytes. It knows neither roles nor partitions.

mod activity;
mod batches;
mod dial;
mod door;
mod link;
mod listen;

pub(super) use activity::Activity;
pub(super) use batches::{Entries, Packer, Unpacker, cut};
pub(super) use dial::{Client, Dialer, failure};
pub(super) use door::Door;
pub(super) use link::{Accepting, Peer, incoming};
pub(super) use listen::listen;

/// Metadata of a request: the follower's user and password.
pub(super) const USER_HEADER: &str = "haypile-user-bin";
pub(super) const PASSWORD_HEADER: &str = "haypile-password-bin";
/// Bytes of the largest request: a history of epochs takes some thousands.
pub(super) const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Bytes of a request's header: its path, a user and a password.
pub(super) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Requests at the same time on one connection. A follower has one stream, its heartbeats, and `repl-copy-workers` that copy.
pub(super) const STREAMS_MAX: u32 = 128;
/// Bytes that may be on their way to a follower on a connection and on a stream of it.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// Does what may take a while without holding up the runtime.
///
/// Meanwhile the task is apart from the runtime, which may end without it when the server stops; a timer that is looked at
/// afterwards panics. So the task gives its thread back before it goes on: if the runtime has ended, it ends there.
pub(super) async fn blocking<R>(work: impl FnOnce() -> R) -> R {
    let outcome = tokio::task::block_in_place(work);
    tokio::task::yield_now().await;
    outcome
}
