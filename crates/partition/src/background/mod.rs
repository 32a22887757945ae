//! What a partition does by itself, beside its turns.

mod expiry;
mod maintenance;

pub use maintenance::Maintenance;
