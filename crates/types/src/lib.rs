//! Ids, positions, slots, the clock and randomness, counters, and how a file is replaced: what every crate shares, and nothing else.

mod clock;
mod counter;
mod files;
mod host;
mod position;
mod slot;
mod xorshift;

pub use clock::{Clock, Random, SystemClock};
pub use counter::{Counter, Padded, thread_index};
pub use files::{Readers, replace_file};
pub use host::is_host;
pub use position::Position;
pub use slot::{SLOTS, Slot, slot_of};
pub use xorshift::XorShift;
