//! Connections: a few threads, each with an epoll loop over its sockets.
//!
//! A round of the loop reads every socket that has something, parses it, evaluates reads on the spot, hands all jobs
//! that write to the partition together (one turn, one append to the log), and then writes all replies: the
//! system calls of a round are one wait, one read and one write per connection, and one write of the log.

mod accept;
mod conn;
mod event_loop;
mod listen;
mod mailbox;
mod tls;
mod upkeep;

pub use event_loop::{EventLoop, prepare};
pub use listen::{Listener, listen};
pub use mailbox::{Fence, Mailbox, Message};

use haypile_config::Values;

/// Number of connection threads.
pub fn thread_count(values: &Values) -> usize {
    match values.io_threads {
        // The other half is for RocksDB's threads, settling and the log.
        0 => std::thread::available_parallelism()
            .map_or(1, |n| n.get().div_ceil(2))
            .min(16),
        n => usize::from(n),
    }
}
