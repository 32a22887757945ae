//! The follower's side: one [`Instance`] machine for the connection to a source, and one [`Partition`] machine for
//! each partition that is followed.
//!
//! Both are driven alike: `step(now, event, rng)` returns actions, which the driver carries out in their order. The
//! driver sleeps until `deadline()` or an event, and gives `Tick` when the deadline has come. What an action leads to
//! comes back as an event with the action's attempt id; events of an attempt that is over are ignored, so a
//! driver need not be exact about stopping things.
//!
//! What a state and an input lead to is data: [`instance_next`] and [`partition_next`]; ARCHITECTURE.md shows them as
//! tables, and a test compares.

mod instance;
mod partition;
mod retries;
mod status;

pub use instance::{
    Identity, Instance, InstanceAction, InstanceEvent, InstanceInput, InstanceState, Session, instance_next,
    instance_table,
};
pub use partition::{
    Partition, PartitionAction, PartitionEvent, PartitionInput, PartitionState, partition_next, partition_table,
};
pub use status::{InstanceStatus, PartitionStatus};
