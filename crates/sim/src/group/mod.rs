//! Simulation of a replica group: `haypile-consensus` over a network that loses, doubles, delays and reorders, disks that are slow and
//! lose what was not synced, clocks that run at different speeds, processes that are killed, stopped and started again.
//!
//! What must never happen, checked all along ([`Checks`]):
//! - two leaders of one term;
//! - at one index two replicas apply different entries, or an entry twice;
//! - a write that was acknowledged is not there any more;
//! - a read, by a leader that relies on its lease, that is older than a write which was acknowledged before it began;
//! - a replica gives two votes in one term, whatever it has forgotten.
//!
//! When the faults end, a write must succeed within bounded time, and all replicas must come to the same log.

mod checks;
mod disk;
mod faults;
mod node;
mod world;

pub use checks::Checks;
pub use world::{Faults, GroupWorld, Outcome};
