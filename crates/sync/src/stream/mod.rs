//! The stream of entries, both ends: [`Sender`] at the source, [`Receiver`] at the follower.
//!
//! The source sends batches of entries, announces each epoch before its first entry, and sends a keepalive when it has
//! nothing else to send. Between them go messages of pub/sub ([`Outbox`], [`Inbox`]). The follower acknowledges two positions, durable and applied, whenever they move, and now
//! and then without that. Either side that hears nothing for the timeout gives up.
//!
//! These two sit in the hot path: the driver calls them for each batch, without events or actions in between.

mod published;
mod receiver;
mod sender;
mod settings;

pub use published::{Inbox, Outbox};
pub use receiver::{Lag, Receiver, Verdict};
pub use sender::{Next, Sender};
pub use settings::StreamSettings;
