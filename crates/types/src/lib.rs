//! Ids, positions, slots, the clock and randomness: what every crate shares, and nothing else.

mod clock;
mod position;
mod slot;

pub use clock::{Clock, Random, SystemClock};
pub use position::Position;
pub use slot::{SLOTS, Slot, slot_of};
