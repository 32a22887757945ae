//! Connections: a few threads, each with an epoll loop over its sockets.
//!
//! A round of the loop reads every socket that has something, parses it, evaluates reads on the spot, hands all jobs
//! that write to the partition together (one turn, one append to the log), and then writes all replies: the
//! system calls of a round are one wait, one read and one write per connection, and one write of the log.

mod accept;
mod conn;
mod event_loop;
mod listen;
mod messages;
mod tls;
mod upkeep;

pub use event_loop::{EventLoop, prepare};
pub use listen::{Listener, listen};

use crate::job::Job;
use crate::mailbox::Mailbox;

/// The mailbox of a connection thread.
pub(crate) type OwnMailbox = Mailbox<Box<Job>>;
