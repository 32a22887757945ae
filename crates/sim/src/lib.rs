//! Simulation: the machines of `haypile-sync` over a fake network, fake disks and fake time.
//!
//! A **run** is given by its seed alone. Some nodes follow each other in a tree; clients write; meanwhile messages are lost,
//! doubled, late and out of order, links are cut, addresses swapped, nodes crash and lose what was not durable, logs are
//! collected, checkpoints and chunks damaged, disks full, replicas promoted. Then the faults end, and by itself and
//! within bounded time every node must have the data of the tree's root.
//!
//! What is checked, all the time ([`World`]):
//! - a source says "continue" only to a follower whose data is a beginning of its own, and "checkpoint needed" only to one for which the log
//!   was not enough;
//! - what a follower has acknowledged as durable is on its disk, and stays there while it follows;
//! - every state of every machine has a deadline;
//! - checkpoints that nobody holds are removed.
//!
//! A run that fails prints its seed and the command that repeats it with a trace.

mod checkpoint;
mod checks;
mod disk;
mod faults;
pub mod group;
mod message;
mod network;
mod node;
mod rng;
mod settings;
mod world;

pub use settings::Times;
pub use world::{Options, Outcome, World};

/// Where a node is.
pub type Place = usize;
/// What others call it; mostly the same number, until addresses are swapped.
pub type Address = usize;
