//! Ids, positions, slots, the clock and randomness, counters: what every crate shares, and nothing else.

mod clock;
mod counter;
mod host;
mod position;
mod slot;

pub use clock::{Clock, Random, SystemClock};
pub use counter::{Counter, Padded, thread_index};
pub use host::is_host;
pub use position::Position;
pub use slot::{SLOTS, Slot, slot_of};
