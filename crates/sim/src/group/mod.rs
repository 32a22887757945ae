//! Simulation of a replica group: `haypile-consensus` over a network that loses, doubles, delays and reorders, disks that are slow or full
//! and lose what was not synced, clocks that run at different speeds, logs that are collected, processes that are killed, stopped and
//! started again, and checkpoints that are copied meanwhile.
//!
//! What must never happen, checked all along ([`Checks`]):
//! - two leaders of one term;
//! - at one index two replicas apply different entries, or a write is applied twice;
//! - a write that was acknowledged is not there any more, or one of which a client was told that it was not done is;
//! - what was decided is not on the disks of a majority, as they would be after a loss of power;
//! - a read, by a leader that relies on its lease or asks a quorum, that is older than a write which was acknowledged before it began;
//! - a replica gives two votes in one term, whatever it has forgotten;
//! - a replica is told of entries that it has acknowledged and does not have.
//!
//! When the faults end, a write must succeed within bounded time, and all replicas must come to the same log. That all this would be
//! noticed is tested with drivers that do something wrong ([`Mutant`]).

mod changes;
mod checkpoint;
mod checks;
mod clients;
mod clock;
mod disk;
mod faults;
mod node;
mod options;
pub mod scenario;
mod world;

pub use checks::Checks;
pub use options::{Counts, Faults, Mutant, Outcome};
pub use world::GroupWorld;
