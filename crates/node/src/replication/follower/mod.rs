//! The follower's side.

mod copying;
mod diverged;
mod driver;
mod filling;
mod inspecting;
mod installing;
mod streaming;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use haypile_consensus::Behind;
use haypile_sync::Tenure;
use haypile_sync::follower::{InstanceState, InstanceStatus, PartitionState, PartitionStatus};
use haypile_sync::stream::Lag;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::replication::Replication;
use driver::{Driver, Event};

/// What commands and INFO know of the follower's side.
#[derive(Default)]
pub(super) struct Handle {
    events: Mutex<Option<UnboundedSender<Event>>>,
    /// The driver's task.
    driver: Mutex<Option<JoinHandle<()>>>,
    status: Arc<Shared>,
}

/// What the driver shows.
#[derive(Default)]
struct Shared {
    machines: Mutex<Option<(InstanceStatus, PartitionStatus)>>,
    stream: Mutex<StreamStatus>,
    transitions: Mutex<Transitions>,
    /// Entries come from the source.
    link_up: AtomicBool,
    /// Full syncs that began because this replica took no more entries.
    poisoned_copies: AtomicU64,
}

/// How long the driver may take to end.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// How often the machines have changed their states.
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    /// By machine and the state entered.
    pub states: BTreeMap<(&'static str, String), u64>,
    /// By machine and the kind of error.
    pub failures: BTreeMap<(&'static str, String), u64>,
}

/// How the open stream is.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamStatus {
    /// How far behind.
    pub lag: Lag,
    /// Index of the last entry received.
    pub received: u64,
    /// When the source was last heard, since the server's start.
    pub heard: Duration,
}

/// How the follower's side is.
#[derive(Clone, Debug)]
pub struct FollowerStatus {
    /// The machine of the connection, and that of the partition; `None` before the start.
    pub machines: Option<(InstanceStatus, PartitionStatus)>,
    /// The stream, or the last there was.
    pub stream: StreamStatus,
    /// Full syncs that began because this replica took no more entries.
    pub poisoned_copies: u64,
}

impl FollowerStatus {
    /// The attempts are used up, and a person has to act.
    pub fn gave_up(&self) -> bool {
        let machines = self.machines.as_ref();
        machines.is_some_and(|(instance, partition)| gave_up(instance, partition))
    }
}

/// True if one of the machines has used its attempts up: then a person has to act, or something else to follow.
fn gave_up(instance: &InstanceStatus, partition: &PartitionStatus) -> bool {
    instance.state == InstanceState::Error && instance.retry_at.is_none()
        || partition.state == PartitionState::Error && partition.retry_at.is_none()
}

impl Handle {
    pub(super) fn start(&self, runtime: &Runtime, replication: &Arc<Replication>) {
        let (events, inbox) = unbounded_channel();
        *self.events.lock() = Some(events.clone());
        let driver = Driver::new(replication, events, self.status.clone());
        *self.driver.lock() = Some(runtime.spawn(driver.run(inbox)));
    }

    /// Ends the driver, which takes leave of the source.
    pub(super) fn stop(&self, runtime: &Runtime) {
        self.send(Event::Stop);
        self.events.lock().take();
        if let Some(driver) = self.driver.lock().take() {
            // What it is doing may take longer, and is then cut off.
            let _ = runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, driver).await });
        }
    }

    pub(super) fn follow(&self, address: String, tenure: Tenure) {
        self.status.link_up.store(false, Ordering::Release);
        self.send(Event::Follow(address, tenure));
    }

    pub(super) fn unfollow(&self, tenure: Tenure) {
        self.status.link_up.store(false, Ordering::Release);
        self.send(Event::Unfollow(tenure));
    }

    /// This server is behind the log of its group's leader, which is at this address: its data is to be replaced by a copy of the leader's.
    /// May be said again and again.
    pub(super) fn fill(&self, address: String, behind: Behind) {
        self.send(Event::Fill(address, behind));
    }

    pub(super) fn retry(&self) {
        self.send(Event::Retry);
    }

    fn send(&self, event: Event) {
        if let Some(events) = &*self.events.lock() {
            // It fails only when the server stops.
            let _ = events.send(event);
        }
    }

    pub(super) fn is_link_up(&self) -> bool {
        self.status.link_up.load(Ordering::Acquire)
    }

    pub(super) fn transitions(&self) -> Transitions {
        self.status.transitions.lock().clone()
    }

    pub(super) fn status(&self) -> FollowerStatus {
        FollowerStatus {
            machines: self.status.machines.lock().clone(),
            stream: *self.status.stream.lock(),
            poisoned_copies: self.status.poisoned_copies.load(Ordering::Relaxed),
        }
    }
}
