//! A node: the partitions of this process, and what they share. It knows no clients; those who serve clients are above it, and
//! are told what they have to know through [`Front`].
//!
//! - [`Node`] is the shared state: configuration, partitions, the role, replication, memory.
//! - [`partitions`] has the partitions, `routing` says which of them a request is for, [`options`] what they are opened with.
//! - [`replication`] follows other servers, and serves those that follow this one.
//! - [`memory`] keeps the process within its budget; [`tls`] has the certificates; [`pause`] holds clients up.
//! - [`process`] and [`random`] are what the system says and gives; [`seldom`] keeps what strangers cause from filling the log.

pub mod diverged_file;
mod error;
mod front;
pub mod memory;
mod node;
mod open;
pub mod options;
pub mod partitions;
pub mod pause;
pub mod process;
pub mod random;
mod recovery;
pub mod replication;
mod routing;
pub mod seldom;
mod stopping;
pub mod tls;

pub use error::{DirError, ListenError};
pub use front::Front;
pub use node::{Node, OpenError, Parts, read};
pub use routing::{partition_of, slot_of_request};
