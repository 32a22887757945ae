//! The task that drives the two machines: it carries out their actions, and tells them what comes of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use haypile_sync::copy::CopyEvent;
use haypile_sync::follower::{
    Identity, Instance, InstanceAction, InstanceEvent, InstanceState, Partition, PartitionAction, PartitionEvent,
    PartitionState,
};
use haypile_sync::message::{Accepted, Purpose, Refusal, TrySyncReply};
use haypile_sync::role::RoleMachine;
use haypile_sync::wire::{WireError, v1};
use haypile_sync::{
    AttemptId, ErrorKind, Failure, LocalPosition, PartitionId, SessionId, SnapshotId, Tenure, Time, Transition,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use super::Shared;
use super::copying::{Beginning, Copying};
use super::inspecting::Incoming;
use super::installing;
use super::streaming::{self, Streaming};
use crate::partitions::standalone_id;
use crate::random::SplitMix64;
use crate::replication::layout::layout;
use crate::replication::transport::{self, Activity, Client};
use crate::replication::{Replication, settings};

/// What happens to the driver.
pub(super) enum Event {
    /// Another server is to be followed, in this tenure; the address as `host:port`.
    Follow(String, Tenure),
    /// None is to be followed, from this tenure on.
    Unfollow(Tenure),
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
    instance: Instance,
    partition: Partition,
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

    fn instance_action(&mut self, replication: &Arc<Replication>, action: InstanceAction) {
        match action {
            InstanceAction::Transition(transition) => self.transition("instance", &transition),
            InstanceAction::GaveUp(error) => {
                tracing::error!(%error, "replication has given up: give REPLICAOF again when the cause is gone");
            }
            InstanceAction::RestartPartitions => self.partition_event(PartitionEvent::Restart),
            InstanceAction::Dial { attempt, address } => {
                let (events, dialer) = (self.events.clone(), replication.dialer());
                let activity = Activity::default();
                let counted = activity.clone();
                let dialing = tokio::spawn(async move {
                    let result = dialer.dial(&address, counted).await;
                    let _ = events.send(Event::Dialed(attempt, result));
                });
                self.link = Some(Link {
                    attempt,
                    client: None,
                    dialing: dialing.abort_handle(),
                    activity,
                    seen: 0,
                });
            }
            InstanceAction::SendMetaSync { attempt, message } => {
                let Some(mut client) = self.client() else { return };
                let events = self.events.clone();
                let request = v1::MetaSyncRequest::from(message);
                tokio::spawn(async move {
                    let event = match client.meta_sync(request).await {
                        Ok(reply) => replied(attempt, reply.into_inner().try_into()),
                        Err(status) => InstanceEvent::Failed {
                            attempt,
                            failure: transport::failure(&status),
                        },
                    };
                    let _ = events.send(Event::Instance(event));
                });
            }
            InstanceAction::SendHeartbeat { attempt, session } => self.send_heartbeat(attempt, session),
            InstanceAction::SendGoodbye { session, .. } => {
                if let Some(client) = self.client() {
                    tokio::spawn(say_goodbye(client, session));
                }
            }
            InstanceAction::SessionUp(session) => self.partition_event(PartitionEvent::SessionUp(session)),
            InstanceAction::SessionDown(id) => self.partition_event(PartitionEvent::SessionDown(id)),
            InstanceAction::Disconnect { attempt } => {
                if let Some(link) = self.link.take_if(|link| link.attempt == attempt) {
                    link.dialing.abort();
                }
            }
        }
    }

    /// Logs and counts a change of state.
    fn transition<S: std::fmt::Display>(&self, machine: &'static str, transition: &Transition<S>) {
        let Transition {
            from,
            to,
            reason,
            error,
            ..
        } = transition;
        let mut counts = self.shared.transitions.lock();
        *counts.states.entry((machine, to.to_string())).or_default() += 1;
        match error {
            Some(error) => {
                let kind = error.kind.name();
                *counts.failures.entry((machine, kind.to_owned())).or_default() += 1;
                tracing::warn!(machine, %from, %to, reason, kind, %error, "replication");
            }
            None => tracing::info!(machine, %from, %to, reason, "replication"),
        }
    }

    fn send_heartbeat(&self, attempt: AttemptId, session: SessionId) {
        let Some(mut client) = self.client() else { return };
        let events = self.events.clone();
        tokio::spawn(async move {
            let request = v1::HeartbeatRequest {
                session: session.0,
                leaving: false,
            };
            let reply: Result<Result<(), Refusal>, Failure> = match client.heartbeat(request).await {
                Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                Err(status) => Err(transport::failure(&status)),
            };
            let event = match reply {
                Ok(Ok(())) => InstanceEvent::Heard { attempt },
                Ok(Err(refusal)) => InstanceEvent::Failed {
                    attempt,
                    failure: refusal.into(),
                },
                Err(failure) => InstanceEvent::Failed { attempt, failure },
            };
            let _ = events.send(Event::Instance(event));
        });
    }

    fn partition_action(&mut self, replication: &Arc<Replication>, action: PartitionAction) {
        match action {
            PartitionAction::Transition(transition) => self.transition("partition", &transition),
            PartitionAction::GaveUp(error) => {
                tracing::error!(%error, "replication has given up: give REPLICAOF again when the cause is gone");
            }
            PartitionAction::ReadPosition { attempt } => self.read_position(attempt),
            PartitionAction::SendTrySync { attempt, message } => {
                let Some(mut client) = self.client() else {
                    return self.partition_failed(attempt, no_link());
                };
                let events = self.events.clone();
                let request = v1::TrySyncRequest::from(message);
                tokio::spawn(async move {
                    let reply: Result<TrySyncReply, Failure> = match client.try_sync(request).await {
                        Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                        Err(status) => Err(transport::failure(&status)),
                    };
                    let event = match reply {
                        Ok(reply) => PartitionEvent::Replied { attempt, reply },
                        Err(failure) => PartitionEvent::Failed { attempt, failure },
                    };
                    let _ = events.send(Event::Partition(event));
                });
            }
            PartitionAction::OpenStream {
                attempt,
                session,
                from,
                history,
            } => {
                let Some(client) = self.client() else {
                    return self.partition_failed(attempt, no_link());
                };
                let open = streaming::Start {
                    attempt,
                    tenure: self.tenure,
                    session,
                    source_timeout: self.source_timeout(),
                    from,
                    history,
                    client,
                };
                self.stream = Some((attempt, Streaming::start(self, open)));
            }
            PartitionAction::StartCopy {
                attempt,
                session,
                reason,
            } => match self.client() {
                Some(client) => self.start_copy(replication, attempt, session, reason, client),
                None => self.partition_failed(attempt, no_link()),
            },
            PartitionAction::Stop { attempt } => {
                if let Some((_, stream)) = self.stream.take_if(|(of, _)| *of == attempt) {
                    stream.stop();
                }
                self.copy.take_if(|copying| copying.attempt == attempt);
                self.beginning.take_if(|beginning| beginning.attempt == attempt);
            }
            PartitionAction::ReportSessionLost(session) => {
                self.queue
                    .push_back(Work::Instance(InstanceEvent::SessionLost { session }));
            }
        }
    }

    /// Not before what earlier attempts had under way has come to rest.
    fn read_position(&self, attempt: AttemptId) {
        let (replication, events, data_lock) = (self.replication.clone(), self.events.clone(), self.data_lock.clone());
        let id = self.id.clone();
        tokio::spawn(async move {
            let rest = data_lock.lock_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                let _rest = rest;
                let replication = replication.upgrade().ok_or_else(no_link)?;
                if replication.parts.partitions.of(&id).is_none() {
                    // An installation has failed at its end: perhaps what was in the way is gone.
                    let opened = replication.open_partition(&id);
                    opened.map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))?;
                }
                let data = replication.parts.partitions.of(&id);
                data.as_ref().map(|data| data.local_position()).ok_or_else(no_link)
            });
            let position = read
                .await
                .unwrap_or_else(|error| Err(Failure::new(ErrorKind::Internal, error.to_string())));
            let _ = events.send(Event::Position(attempt, position));
        });
    }

    fn source_timeout(&self) -> Duration {
        let session = self.instance.status(Time::default()).session;
        session.map_or(Duration::MAX, |session| session.source_timeout)
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

fn no_link() -> Failure {
    Failure::new(ErrorKind::PeerClosed, "there is no connection any more")
}

fn replied(attempt: AttemptId, reply: Result<Result<Accepted, Refusal>, WireError>) -> InstanceEvent {
    match reply {
        Ok(reply) => InstanceEvent::Replied { attempt, reply },
        Err(error) => InstanceEvent::Failed {
            attempt,
            failure: error.into(),
        },
    }
}

/// Who follows, as the configuration says it now.
fn identity(replication: &Replication, partition: &PartitionId) -> Identity {
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
        purpose: Purpose::Replica,
        announce_host: Some(values.replica_announce_ip.clone()).filter(|host| !host.is_empty()),
        announce_port: match values.replica_announce_port {
            0 if values.tls_replication && values.tls_port > 0 => values.tls_port,
            0 => replication.parts.port,
            port => port,
        },
        wanted: wanted.into_iter().collect(),
    }
}
