//! The task that drives the two machines: it carries out their actions, and tells them what comes of it.

mod acting;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use haypile_consensus::Behind;
use haypile_sync::copy::CopyEvent;
use haypile_sync::follower::{
    Identity, Instance, InstanceEvent, InstanceState, Partition, PartitionEvent, PartitionState,
};
use haypile_sync::message::Purpose;
use haypile_sync::role::RoleMachine;
use haypile_sync::wire::v1;
use haypile_sync::{AttemptId, Failure, LocalPosition, PartitionId, SessionId, SnapshotId, Tenure, Time};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use super::Shared;
use super::copying::{Beginning, Copying};
use super::filling::Filling;
use super::inspecting::Incoming;
use super::installing;
use super::streaming::Streaming;
use crate::partitions::standalone_id;
use crate::random::SplitMix64;
use crate::replication::layout::layout;
use crate::replication::transport::{Activity, Client};
use crate::replication::{Replication, settings};

/// What happens to the driver.
pub(super) enum Event {
    /// Another server is to be followed, in this tenure; the address as `host:port`.
    Follow(String, Tenure),
    /// None is to be followed, from this tenure on.
    Unfollow(Tenure),
    /// A member of a group is behind the log of its leader, which is at this address.
    Fill(String, Behind),
    /// What has failed is tried at once.
    Retry,
    /// The server stops.
    Stop,
    Dialed(AttemptId, Result<Client, Failure>),
    Instance(InstanceEvent),
    Partition(PartitionEvent),
    Position(AttemptId, Result<LocalPosition, Failure>),
    Copy(AttemptId, CopyEvent),
    /// Writes that nobody else has are kept, so that the copy may begin.
    Kept(AttemptId, Result<(), Failure>),
}

/// See the module.
pub(super) struct Driver {
    pub(super) replication: Weak<Replication>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) shared: Arc<Shared>,
    /// The partition that follows.
    pub(super) id: PartitionId,
    pub(super) instance: Instance,
    pub(super) partition: Partition,
    /// Of the role for which it works. The role may be another already, and the event that says so under way.
    pub(super) tenure: Tenure,
    pub(super) random: SplitMix64,
    link: Option<Link>,
    stream: Option<(AttemptId, Streaming)>,
    pub(super) copy: Option<Copying>,
    /// A copy that begins when what nobody else has is kept.
    pub(super) beginning: Option<Beginning>,
    /// Held by whoever keeps that.
    pub(super) keeping: Arc<tokio::sync::Mutex<()>>,
    pub(super) incoming: Arc<Incoming>,
    pub(super) reject: Option<SnapshotId>,
    /// Of a member of a group: the copy of its leader's data that takes the place of its own.
    pub(super) filling: Option<Filling>,
    /// Held by whoever works on the partition's data for an attempt: a stream, an installation.
    pub(super) data_lock: Arc<tokio::sync::Mutex<()>>,
    /// What the machines are to be given, in order.
    queue: VecDeque<Work>,
}

struct Link {
    attempt: AttemptId,
    client: Option<Client>,
    dialing: AbortHandle,
    activity: Activity,
    /// Bytes that had come when it was last looked at.
    seen: u64,
}

/// What is to be given to a machine.
enum Work {
    Instance(InstanceEvent),
    Partition(PartitionEvent),
}

/// How long the source may take to answer the last word of a session.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(300);
/// Longest sleep of the driver: it looks at the configuration then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Driver {
    pub(super) fn new(replication: &Arc<Replication>, events: UnboundedSender<Event>, shared: Arc<Shared>) -> Self {
        let settings = settings::follower_settings(&replication.parts.config.load());
        let now = replication.now();
        let id = standalone_id();
        let instance = Instance::new(identity(replication, &id), settings.clone(), now);
        let partition = Partition::new(id.clone(), String::new(), settings, now);
        Driver {
            replication: Arc::downgrade(replication),
            events,
            shared,
            id,
            instance,
            partition,
            tenure: RoleMachine::FIRST,
            random: SplitMix64::from_system(),
            link: None,
            stream: None,
            copy: None,
            beginning: None,
            keeping: Arc::default(),
            incoming: Arc::default(),
            reject: None,
            filling: None,
            data_lock: Arc::default(),
            queue: VecDeque::new(),
        }
    }

    /// Runs until the server stops.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Event>) {
        loop {
            let Some(now) = self.show() else { return };
            let deadline = [
                self.instance.deadline(),
                self.partition.deadline(),
                self.copy_deadline(),
            ];
            let sleep = deadline
                .into_iter()
                .flatten()
                .min()
                .map_or(LOOK_AGAIN, |at| at.since(now));
            let event = tokio::select! {
                event = inbox.recv() => match event {
                    Some(Event::Stop) | None => break,
                    Some(event) => Some(event),
                },
                () = tokio::time::sleep(sleep.min(LOOK_AGAIN)) => None,
            };
            let Some(replication) = self
                .replication
                .upgrade()
                .filter(|replication| !replication.parts.stopping.is_asked())
            else {
                break;
            };
            match event {
                Some(event) => self.take(&replication, event),
                None => self.tick(&replication),
            }
            drop(replication);
            // The beginning of a copy blocks: see `blocking`.
            tokio::task::yield_now().await;
        }
        let session = self.instance.status(Time::default()).session;
        if let (Some(session), Some(client)) = (session, self.client()) {
            say_goodbye(client, session.id).await;
        }
    }

    /// Shows where the machines are; gives the time, unless the server is gone.
    fn show(&self) -> Option<Time> {
        let replication = self.replication.upgrade()?;
        let now = replication.now();
        *self.shared.machines.lock() = Some((self.instance.status(now), self.partition.status(now)));
        let up =
            self.instance.state() == InstanceState::Connected && self.partition.state() == PartitionState::Connected;
        self.shared.link_up.store(up, Ordering::Release);
        Some(now)
    }

    fn tick(&mut self, replication: &Arc<Replication>) {
        let values = replication.parts.config.load();
        let settings = settings::follower_settings(&values);
        self.instance.set_settings(settings.clone());
        self.partition.set_settings(settings);
        self.instance.set_identity(identity(replication, &self.id));
        self.look_for_activity();
        self.look_at_filling(replication);
        self.reopen(replication);
        self.queue.push_back(Work::Instance(InstanceEvent::Tick));
        self.queue.push_back(Work::Partition(PartitionEvent::Tick));
        self.work(replication);
        self.copy_tick(replication);
        self.work(replication);
    }

    /// Tries again to open the data, if an installation has failed at its end: perhaps what was in the way is gone.
    fn reopen(&self, replication: &Arc<Replication>) {
        // Who has the lock is installing, or opening it.
        if replication.parts.partitions.of(&self.id).is_none()
            && let Ok(data_lock) = self.data_lock.clone().try_lock_owned()
        {
            let (replication, id) = (replication.clone(), self.id.clone());
            tokio::task::spawn_blocking(move || {
                let _data_lock = data_lock;
                if replication.parts.partitions.of(&id).is_none()
                    && let Err(error) = replication.open_partition(&id)
                {
                    tracing::error!(%error, "the data cannot be opened: it is tried again");
                }
            });
        }
    }

    /// Before a deadline counts: has anything come?
    fn look_for_activity(&mut self) {
        let Some(link) = &mut self.link else { return };
        let bytes = link.activity.bytes();
        if bytes == link.seen {
            return;
        }
        link.seen = bytes;
        let attempt = link.attempt;
        self.queue.push_back(Work::Instance(InstanceEvent::Heard { attempt }));
        if let Some((attempt, _)) = self.stream {
            self.queue.push_back(Work::Partition(PartitionEvent::Heard { attempt }));
        }
    }

    fn take(&mut self, replication: &Arc<Replication>, event: Event) {
        match event {
            Event::Follow(address, tenure) => {
                self.tenure = tenure;
                self.partition.set_peer(address.clone());
                self.instance.set_identity(identity(replication, &self.id));
                self.reject = None;
                self.queue.push_back(Work::Instance(InstanceEvent::Follow(address)));
            }
            Event::Fill(address, behind) => self.fill(replication, address, behind),
            Event::Unfollow(tenure) => {
                self.tenure = tenure;
                self.queue.push_back(Work::Instance(InstanceEvent::Unfollow));
                self.discard_copy(replication);
            }
            // It ends the loop.
            Event::Stop => {}
            Event::Retry => {
                self.queue.push_back(Work::Instance(InstanceEvent::Retry));
                self.queue.push_back(Work::Partition(PartitionEvent::Retry));
            }
            Event::Dialed(attempt, result) => {
                let Some(link) = self.link.as_mut().filter(|link| link.attempt == attempt) else {
                    return;
                };
                let event = match result {
                    Ok(client) => {
                        link.client = Some(client);
                        InstanceEvent::Dialed { attempt }
                    }
                    Err(failure) => InstanceEvent::Failed { attempt, failure },
                };
                self.queue.push_back(Work::Instance(event));
            }
            Event::Instance(event) => self.queue.push_back(Work::Instance(event)),
            Event::Partition(event) => self.queue.push_back(Work::Partition(event)),
            Event::Position(attempt, Ok(position)) => {
                self.queue
                    .push_back(Work::Partition(PartitionEvent::PositionRead { attempt, position }));
            }
            Event::Position(attempt, Err(failure)) => self.partition_failed(attempt, failure),
            Event::Copy(attempt, event) => self.copy_event(replication, attempt, event),
            Event::Kept(attempt, kept) => self.kept(replication, attempt, kept),
        }
        self.work(replication);
    }

    /// Removes what was copied, once nobody works on it, unless something is followed again by then.
    fn discard_copy(&self, replication: &Arc<Replication>) {
        let (replication, data_lock, id) = (replication.clone(), self.data_lock.clone(), self.id.clone());
        tokio::spawn(async move {
            let data_lock = data_lock.lock_owned().await;
            tokio::task::spawn_blocking(move || {
                let _data_lock = data_lock;
                if replication.roles.load().is_writer() {
                    installing::discard(&replication, &id);
                }
            });
        });
    }

    pub(super) fn instance_event(&mut self, event: InstanceEvent) {
        self.queue.push_back(Work::Instance(event));
    }

    pub(super) fn partition_event(&mut self, event: PartitionEvent) {
        self.queue.push_back(Work::Partition(event));
    }

    pub(super) fn partition_failed(&mut self, attempt: AttemptId, failure: Failure) {
        self.partition_event(PartitionEvent::Failed { attempt, failure });
    }

    /// Gives the machines what is queued, until nothing is.
    fn work(&mut self, replication: &Arc<Replication>) {
        while let Some(work) = self.queue.pop_front() {
            let now = replication.now();
            match work {
                Work::Instance(event) => {
                    for action in self.instance.step(now, event, &mut self.random) {
                        self.instance_action(replication, action);
                    }
                }
                Work::Partition(event) => {
                    for action in self.partition.step(now, event, &mut self.random) {
                        self.partition_action(replication, action);
                    }
                }
            }
        }
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.link.as_ref()?.client.clone()
    }
}

/// No answer is awaited for long: the source will notice by itself, only later.
async fn say_goodbye(mut client: Client, session: SessionId) {
    let request = v1::HeartbeatRequest {
        session: session.0,
        leaving: true,
    };
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, client.heartbeat(request)).await;
}

/// Who follows, as the configuration says it now.
pub(super) fn identity(replication: &Replication, partition: &PartitionId) -> Identity {
    let (values, replication) = (replication.parts.config.load(), &replication);
    let wanted = replication
        .parts
        .partitions
        .of(partition)
        .as_ref()
        .map(|data| layout(partition, data));
    Identity {
        node: replication.node,
        incarnation: replication.incarnation,
        purpose: match replication.is_in_group() {
            true => Purpose::Learner,
            false => Purpose::Replica,
        },
        announce_host: Some(values.replica_announce_ip.clone()).filter(|host| !host.is_empty()),
        announce_port: match values.replica_announce_port {
            0 if values.tls_replication && values.tls_port > 0 => values.tls_port,
            0 => replication.parts.port,
            port => port,
        },
        wanted: wanted.into_iter().collect(),
    }
}
