//! What subscribers hear of: from commands as they are evaluated, or from entries that somebody else wrote.

mod logged;
mod observer;

pub(crate) use logged::of_entry;
pub use observer::Event;
pub(crate) use observer::{Counters, Heard, ReadObserver, TurnObserver};
