//! The follower's side of a simulated node: a driver in small.

mod copying;

use std::sync::Arc;
use std::time::Duration;

use haypile_sync::copy::{ChunkRef, Copy, CopyEvent, Manifest};
use haypile_sync::follower::{
    Identity, Instance, InstanceAction, InstanceEvent, InstanceState, Partition, PartitionAction, PartitionEvent,
    PartitionState,
};
use haypile_sync::source::Acks;
use haypile_sync::stream::{Receiver, Verdict};
use haypile_sync::{AttemptId, ErrorKind, Failure, Incarnation, NodeId, Purpose, SnapshotId, Tenure, Time};
use haypile_types::Position;

use super::{Context, Effect, LocalEvent, Peer, layout, partition};
use crate::Address;
use crate::disk::Disk;
use crate::message::{CopyId, Frame, Message, StreamId};

/// A local step of the follower's side that takes time.
#[derive(Clone, Debug)]
pub enum LocalStep {
    /// The position is read.
    Position(AttemptId),
    /// `incoming/` is inspected.
    Inspected(CopyId),
    /// What was copied is durable.
    Synced(CopyId),
    /// The swap is done.
    Installed(CopyId),
}

/// The follower's side of a process: the machines, and what they have under way.
pub struct FollowerSide {
    /// Keeps the session.
    pub instance: Instance,
    /// Keeps the partition.
    pub partition: Partition,
    link: Option<Link>,
    copy: Option<CopyTask>,
    stream: Option<StreamTask>,
    reject: Option<SnapshotId>,
    /// An installation is at its end, and cannot be stopped.
    installing: Option<(CopyId, Tenure, Arc<Manifest>)>,
    /// The role that it works for.
    tenure: Tenure,
    /// A position is to be read as soon as that is over.
    position_wanted: Option<AttemptId>,
}

struct Link {
    attempt: AttemptId,
    peer: Option<Peer>,
}

struct CopyTask {
    id: CopyId,
    tenure: Tenure,
    copy: Copy,
    manifest: Option<Arc<Manifest>>,
    /// Fetches under way, with the chunks they are for.
    fetches: Vec<(AttemptId, ChunkRef)>,
}

struct StreamTask {
    id: StreamId,
    tenure: Tenure,
    receiver: Receiver,
}

impl FollowerSide {
    pub(super) fn new(node: NodeId, incarnation: Incarnation, cx: &Context<'_>) -> Self {
        let identity = Identity {
            node,
            incarnation,
            purpose: Purpose::Replica,
            announce_host: None,
            announce_port: 0,
            wanted: vec![layout()],
        };
        let settings = cx.times.machines.clone();
        FollowerSide {
            instance: Instance::new(identity, settings.clone(), cx.now),
            partition: Partition::new(partition(), String::new(), settings, cx.now),
            link: None,
            copy: None,
            stream: None,
            reject: None,
            installing: None,
            tenure: Tenure(0),
            position_wanted: None,
        }
    }

    /// Works for another role from here on, unless it has heard of a later one.
    pub(super) fn hear_role(
        &mut self,
        disk: &mut Disk,
        cx: &mut Context<'_>,
        following: Option<Address>,
        tenure: Tenure,
    ) {
        if tenure <= self.tenure {
            return;
        }
        self.tenure = tenure;
        match following {
            Some(address) => {
                let address = format!("{address}");
                self.partition.set_peer(address.clone());
                self.instance(disk, cx, InstanceEvent::Follow(address));
            }
            None => self.instance(disk, cx, InstanceEvent::Unfollow),
        }
    }

    /// True once it has heard of this role.
    pub fn works_for(&self, tenure: Tenure) -> bool {
        self.tenure == tenure
    }

    /// Whether all is well: the log is streamed.
    pub fn in_sync(&self) -> bool {
        self.instance.state() == InstanceState::Connected && self.partition.state() == PartitionState::Connected
    }

    /// The process at the other end of the connection.
    pub fn source(&self) -> Option<Peer> {
        self.link.as_ref().and_then(|link| link.peer)
    }

    /// The attempt whose stream is open.
    pub fn streaming(&self) -> Option<StreamId> {
        self.stream.as_ref().map(|stream| stream.id)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let copy = self.copy.as_ref().and_then(|task| task.copy.deadline());
        let ack = self.stream.as_ref().map(|task| task.receiver.ack_at());
        let machines = [self.instance.deadline(), self.partition.deadline()];
        machines.into_iter().flatten().chain(copy).chain(ack).min()
    }

    /// Every state must have a way out that does not need luck.
    pub fn check(&self, following: bool) {
        if following {
            assert!(
                self.instance.deadline().is_some(),
                "the instance machine waits for nothing"
            );
            let waits = self.instance.state() != InstanceState::Connected;
            assert!(
                waits || self.partition.deadline().is_some(),
                "the partition machine waits for nothing"
            );
        }
        if let Some(task) = &self.copy {
            assert!(task.copy.deadline().is_some(), "the copy waits for nothing");
            assert_eq!(self.partition.state(), PartitionState::WaitDBSync);
        }
        if self.stream.is_some() {
            assert_eq!(self.partition.state(), PartitionState::Connected);
        }
    }

    pub(super) fn tick(&mut self, disk: &mut Disk, cx: &mut Context<'_>) {
        self.instance(disk, cx, InstanceEvent::Tick);
        self.partition(disk, cx, PartitionEvent::Tick);
        self.copy(disk, cx, CopyEvent::Tick);
    }

    pub(super) fn receive(&mut self, disk: &mut Disk, cx: &mut Context<'_>, from: Peer, message: Message) {
        match message {
            Message::Dialed { attempt } => {
                if let Some(link) = &mut self.link
                    && link.attempt == attempt
                {
                    link.peer = Some(from);
                    self.instance(disk, cx, InstanceEvent::Dialed { attempt });
                }
            }
            Message::Reset => {
                if let Some(Link { attempt, peer, .. }) = self.link
                    && peer == Some(from)
                {
                    let failure = Failure::new(ErrorKind::PeerClosed, "reset");
                    self.instance(disk, cx, InstanceEvent::Failed { attempt, failure });
                }
            }
            Message::MetaSyncReply { attempt, reply } => {
                self.instance(disk, cx, InstanceEvent::Replied { attempt, reply });
            }
            Message::HeartbeatReply { attempt, reply } => {
                let event = match reply {
                    Ok(()) => InstanceEvent::Heard { attempt },
                    Err(refusal) => InstanceEvent::Failed {
                        attempt,
                        failure: refusal.into(),
                    },
                };
                self.instance(disk, cx, event);
            }
            Message::TrySyncReply { attempt, reply } => {
                self.partition(disk, cx, PartitionEvent::Replied { attempt, reply });
            }
            Message::Manifest { copy, request, reply } => {
                if self.copy.as_ref().is_some_and(|task| task.id == copy) {
                    let reply = reply.map_err(Failure::from);
                    self.copy(disk, cx, CopyEvent::Manifest { request, reply });
                }
            }
            Message::Chunk { copy, fetch, reply } => self.chunk(disk, cx, copy, fetch, reply),
            Message::Frame { stream, last, frame } => self.frame(disk, cx, stream, last, frame),
            other => panic!("not for a follower: {other:?}"),
        }
    }

    pub(super) fn closed(&mut self, disk: &mut Disk, cx: &mut Context<'_>, stream: StreamId, failure: Failure) {
        if self.streaming() == Some(stream) {
            self.partition(
                disk,
                cx,
                PartitionEvent::Failed {
                    attempt: stream.attempt,
                    failure,
                },
            );
        }
    }

    /// A local step is done. Returns whether the data was replaced.
    pub(super) fn local(&mut self, disk: &mut Disk, cx: &mut Context<'_>, step: LocalStep) -> bool {
        match step {
            LocalStep::Position(attempt) => {
                let position = disk.position();
                self.partition(disk, cx, PartitionEvent::PositionRead { attempt, position });
            }
            LocalStep::Inspected(id) => self.inspected(disk, cx, id),
            LocalStep::Synced(id) => {
                if self.copy.as_ref().is_some_and(|task| task.id == id) {
                    self.copy(disk, cx, CopyEvent::Synced);
                }
            }
            LocalStep::Installed(id) => return self.installed(disk, cx, id),
        }
        false
    }

    fn send(&self, cx: &mut Context<'_>, message: Message) {
        if let Some(peer) = self.link.as_ref().and_then(|link| link.peer) {
            cx.send(peer, message);
        }
    }

    // ---- the machines' actions

    fn instance(&mut self, disk: &mut Disk, cx: &mut Context<'_>, event: InstanceEvent) {
        for action in self.instance.step(cx.now, event, cx.rng) {
            match action {
                InstanceAction::Transition(transition) => cx.transition("instance", transition),
                InstanceAction::GaveUp(error) => panic!("gave up: {error}"),
                InstanceAction::RestartPartitions => self.partition(disk, cx, PartitionEvent::Restart),
                InstanceAction::Dial { attempt, address } => {
                    let address: Address = address.parse().unwrap_or_else(|_| panic!("{address} is no address"));
                    self.link = Some(Link { attempt, peer: None });
                    cx.effects.push(Effect::Dial(address, Message::Dial { attempt }));
                }
                InstanceAction::SendMetaSync { message, .. } => self.send(cx, Message::MetaSync(message)),
                InstanceAction::SendHeartbeat { attempt, session } => {
                    self.send(cx, Message::Heartbeat { attempt, session });
                }
                InstanceAction::SendGoodbye { session, .. } => self.send(cx, Message::Goodbye { session }),
                InstanceAction::SessionUp(session) => self.partition(disk, cx, PartitionEvent::SessionUp(session)),
                InstanceAction::SessionDown(id) => self.partition(disk, cx, PartitionEvent::SessionDown(id)),
                InstanceAction::Disconnect { .. } => self.link = None,
            }
        }
    }

    fn partition(&mut self, disk: &mut Disk, cx: &mut Context<'_>, event: PartitionEvent) {
        for action in self.partition.step(cx.now, event, cx.rng) {
            match action {
                PartitionAction::Transition(transition) => cx.transition("partition", transition),
                PartitionAction::GaveUp(error) => panic!("gave up: {error}"),
                PartitionAction::ReadPosition { attempt } => {
                    self.position_wanted = Some(attempt);
                    self.read_position(cx);
                }
                PartitionAction::SendTrySync { message, .. } => self.send(cx, Message::TrySync(message)),
                PartitionAction::OpenStream {
                    attempt,
                    session,
                    from,
                    history,
                } => {
                    let epoch = history
                        .current()
                        .map(|epoch| epoch.id)
                        .unwrap_or_else(|| panic!("no epoch"));
                    if let Err(failure) = disk.set_history(self.tenure, &history, from - 1) {
                        // The real driver hears of it from the stream's task.
                        self.partition(disk, cx, PartitionEvent::Failed { attempt, failure });
                        continue;
                    }
                    let id = StreamId { session, attempt };
                    let acks = Acks {
                        durable: disk.durable,
                        applied: disk.last(),
                    };
                    let receiver = Receiver::new(cx.times.stream.clone(), from, history, acks, cx.now);
                    let tenure = self.tenure;
                    self.stream = Some(StreamTask { id, tenure, receiver });
                    self.send(
                        cx,
                        Message::OpenStream {
                            stream: id,
                            from,
                            epoch,
                        },
                    );
                }
                PartitionAction::StartCopy {
                    attempt,
                    session,
                    reason,
                } => {
                    self.start_copy(disk, cx, attempt, session, reason);
                }
                PartitionAction::Stop { attempt } => self.stop(cx, attempt),
                PartitionAction::ReportSessionLost(session) => {
                    self.instance(disk, cx, InstanceEvent::SessionLost { session });
                }
            }
        }
    }

    fn stop(&mut self, cx: &mut Context<'_>, attempt: AttemptId) {
        if let Some(task) = self.stream.take_if(|task| task.id.attempt == attempt) {
            let failure = Failure::new(ErrorKind::PeerClosed, "stopped");
            self.send(
                cx,
                Message::Closed {
                    stream: task.id,
                    failure,
                },
            );
        }
        self.copy.take_if(|task| task.id.attempt == attempt);
        self.position_wanted.take_if(|wanted| *wanted == attempt);
    }

    fn read_position(&mut self, cx: &mut Context<'_>) {
        if self.installing.is_none()
            && let Some(attempt) = self.position_wanted.take()
        {
            after(cx, 5, LocalStep::Position(attempt));
        }
    }

    // ---- the stream

    fn frame(&mut self, disk: &mut Disk, cx: &mut Context<'_>, id: StreamId, last: u64, frame: Frame) {
        let Some(task) = self.stream.as_mut().filter(|task| task.id == id) else {
            return;
        };
        task.receiver.source_end(cx.now, last, 0, 0);
        let tenure = task.tenure;
        let result = match frame {
            Frame::Keepalive { sent } => task.receiver.keepalive(sent),
            Frame::Epoch { epoch, after } => {
                let end = task.receiver.last();
                task.receiver.epoch(epoch, after).and_then(|history| match history {
                    Some(history) => disk.set_history(tenure, history, end),
                    None => Ok(()),
                })
            }
            Frame::Batch { .. } if disk.poisoned => Err(Failure::new(ErrorKind::Io, "no more entries are taken")),
            Frame::Batch { first, entries } => {
                let position = |at: usize| Position::new(entries[at].term, first + at as u64);
                task.receiver
                    .batch(position(0), position(entries.len() - 1))
                    .and_then(|verdict| {
                        if let Verdict::Append { skip } = verdict {
                            disk.check_tenure(tenure)?;
                            disk.data.extend(&entries[skip as usize..]);
                            task.receiver.appended(disk.last());
                        }
                        Ok(())
                    })
            }
        };
        let event = match result {
            Ok(()) => PartitionEvent::Heard { attempt: id.attempt },
            Err(failure) => PartitionEvent::Failed {
                attempt: id.attempt,
                failure,
            },
        };
        self.partition(disk, cx, event);
    }

    /// The log has grown, or more of it is durable: acknowledge.
    pub(super) fn log_changed(&mut self, disk: &Disk, cx: &mut Context<'_>) {
        let Some(task) = &mut self.stream else { return };
        task.receiver.progress(disk.durable, disk.last());
        if let Some(acks) = task.receiver.ack(cx.now) {
            assert!(acks.durable <= disk.durable && acks.applied <= disk.last());
            let message = Message::Acks { stream: task.id, acks };
            self.send(cx, message);
        }
    }
}

fn after(cx: &mut Context<'_>, at_most_ms: u64, step: LocalStep) {
    let takes: Duration = cx.rng.millis(0, at_most_ms);
    cx.effects.push(Effect::After(takes, LocalEvent::Follower(step)));
}
