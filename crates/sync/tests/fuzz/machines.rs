//! Bytes as events: whatever comes in whatever order, each machine keeps a deadline, and the source's books stay in order.

use std::collections::BTreeSet;
use std::time::Duration;

use haypile_sync::copy::CopyProgress;
use haypile_sync::follower::{
    Instance, InstanceAction, InstanceEvent, InstanceState, Partition, PartitionAction, PartitionEvent, PartitionState,
};
use haypile_sync::message::{Accepted, CheckpointReason, Layout, LocalPosition, MetaSync, Refusal, TrySyncReply};
use haypile_sync::source::{
    Acks, Acquired, CheckpointSettings, Checkpoints, Holder, Made, PinSettings, Progress, Sessions, SourceIdentity,
};
use haypile_sync::{
    AttemptId, Epoch, EpochHistory, EpochId, ErrorKind, Failure, Incarnation, NodeId, NotReady, PartitionId, Purpose,
    SessionId, Settings, SnapshotId, Time,
};
use haypile_types::Position;

use super::input::Input;
use super::messages::{Rng, instance, layout, partition};

/// The first byte says which machine the others are for.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.choose(4) {
        0 => follower(input),
        1 => sessions(input),
        2 => checkpoints(input),
        _ => progress(input),
    }
}

fn refusal(input: &mut Input<'_>) -> Refusal {
    match input.choose(10) {
        0 => Refusal::ProtocolVersion { min: 7, max: 9 },
        1 => Refusal::Unauthorized("no".into()),
        2 => Refusal::LayoutMismatch("no".into()),
        3 => Refusal::FollowsItself,
        4 => Refusal::Stale,
        5 => Refusal::UnknownSession,
        6 => Refusal::IdInUse("h".into()),
        7 => Refusal::NotReady(NotReady::Busy),
        8 => Refusal::NotReady(NotReady::Behind),
        _ => Refusal::Internal("no".into()),
    }
}

fn failure(input: &mut Input<'_>) -> Failure {
    let kind = match input.choose(8) {
        0 => ErrorKind::ConnectFailed,
        1 => ErrorKind::AuthFailed,
        2 => ErrorKind::SessionLost,
        3 => ErrorKind::NoSpace,
        4 => ErrorKind::Corrupt("x".into()),
        5 => ErrorKind::OutOfOrder,
        6 => ErrorKind::PeerNotReady(NotReady::Circle),
        _ => ErrorKind::Protocol,
    };
    Failure::new(kind, "x")
}

/// A history that may be any.
fn history(input: &mut Input<'_>) -> EpochHistory {
    let epochs = (0..input.choose(4)).map(|_| Epoch {
        term: input.number(),
        id: EpochId(input.byte().into()),
        first_index: input.number(),
    });
    EpochHistory::from_epochs(epochs.collect()).unwrap_or_default()
}

/// The newest attempt, mostly.
fn attempt(input: &mut Input<'_>, newest: u64) -> AttemptId {
    match input.choose(8) {
        0 => AttemptId(input.number()),
        _ => AttemptId(newest),
    }
}

struct Follower {
    now: Time,
    rng: Rng,
    instance: Instance,
    partition: Partition,
    /// Newest attempt of each.
    attempts: (u64, u64),
    followed: bool,
    session: Option<SessionId>,
    /// Index at which the log ended when it was last read.
    end: u64,
}

fn follower(mut input: Input<'_>) {
    let now = Time::default();
    let mut side = Follower {
        now,
        rng: Rng(3),
        instance: instance(),
        partition: Partition::new(partition(), "h:1".into(), Settings::default(), now),
        attempts: (0, 0),
        followed: false,
        session: None,
        end: 0,
    };
    while !input.is_empty() {
        match input.choose(4) {
            0 => side.time_passes(&mut input),
            1 => side.instance_event(&mut input),
            _ => side.partition_event(&mut input),
        }
        side.check();
    }
}

impl Follower {
    fn time_passes(&mut self, input: &mut Input<'_>) {
        let soonest = [self.instance.deadline(), self.partition.deadline()];
        let soonest = soonest.into_iter().flatten().min();
        match soonest {
            Some(at) if input.flag() => self.now = self.now.max(at),
            _ => self.now = self.now + Duration::from_millis(input.number() >> 20),
        }
        self.step_instance(InstanceEvent::Tick);
        self.step_partition(PartitionEvent::Tick);
    }

    fn instance_event(&mut self, input: &mut Input<'_>) {
        let attempt = attempt(input, self.attempts.0);
        let event = match input.choose(10) {
            0 => {
                self.followed = true;
                InstanceEvent::Follow("h:1".into())
            }
            1 => {
                self.followed = false;
                InstanceEvent::Unfollow
            }
            2 => InstanceEvent::Retry,
            3 | 4 => InstanceEvent::Dialed { attempt },
            5 => InstanceEvent::Replied {
                attempt,
                reply: Err(refusal(input)),
            },
            6 => InstanceEvent::Replied {
                attempt,
                reply: Ok(Accepted {
                    node: NodeId(input.choose(4).into()),
                    incarnation: Incarnation(1),
                    session: SessionId(input.number()),
                    version: input.choose(3).into(),
                    partitions: if input.choose(4) == 0 { vec![] } else { vec![layout()] },
                    session_timeout: Duration::from_millis(input.number().max(1)),
                }),
            },
            7 => InstanceEvent::Heard { attempt },
            8 => InstanceEvent::Failed {
                attempt,
                failure: failure(input),
            },
            _ => InstanceEvent::SessionLost {
                session: self.session.unwrap_or(SessionId(input.number())),
            },
        };
        self.step_instance(event);
    }

    fn partition_event(&mut self, input: &mut Input<'_>) {
        let attempt = attempt(input, self.attempts.1);
        let reply = |reply| PartitionEvent::Replied { attempt, reply };
        let event = match input.choose(11) {
            0 => PartitionEvent::Retry,
            1 | 2 => {
                let history = history(input);
                let index = input.index();
                PartitionEvent::PositionRead {
                    attempt,
                    position: LocalPosition {
                        end: history.position_of(index).unwrap_or_default(),
                        durable: index,
                        applied: index,
                        history,
                        poisoned: input.choose(4) == 0,
                    },
                }
            }
            3 | 4 => reply(TrySyncReply::Continue {
                from: if input.flag() { self.end + 1 } else { input.index() },
                history: history(input),
            }),
            5 => reply(TrySyncReply::Checkpoint(match input.choose(4) {
                0 => CheckpointReason::Empty,
                1 => CheckpointReason::Poisoned,
                2 => CheckpointReason::Diverged {
                    common: Position::new(input.index(), input.index()),
                    lost_first: Position::new(input.index(), input.index()),
                    lost_last: Position::new(input.index(), input.index()),
                },
                _ => CheckpointReason::LogCollected {
                    wanted: input.number(),
                    first: input.number(),
                },
            })),
            6 => reply(TrySyncReply::Refused(refusal(input))),
            7 => PartitionEvent::Heard { attempt },
            8 => PartitionEvent::CopyProgress {
                attempt,
                progress: CopyProgress {
                    bytes_done: input.number(),
                    ..CopyProgress::default()
                },
            },
            9 => PartitionEvent::Installed { attempt },
            _ => PartitionEvent::Failed {
                attempt,
                failure: failure(input),
            },
        };
        self.step_partition(event);
    }

    /// What the one tells the other is told at once, as the driver does.
    fn step_instance(&mut self, event: InstanceEvent) {
        for action in self.instance.step(self.now, event, &mut self.rng) {
            match action {
                InstanceAction::Dial { attempt, .. } => {
                    assert!(attempt.0 > self.attempts.0, "an attempt's number comes once");
                    self.attempts.0 = attempt.0;
                }
                InstanceAction::SessionUp(session) => {
                    assert!(self.session.is_none(), "two sessions");
                    self.session = Some(session.id);
                    self.step_partition(PartitionEvent::SessionUp(session));
                }
                InstanceAction::SessionDown(id) => {
                    assert_eq!(self.session.take(), Some(id));
                    self.step_partition(PartitionEvent::SessionDown(id));
                }
                InstanceAction::RestartPartitions => self.step_partition(PartitionEvent::Restart),
                _ => {}
            }
        }
    }

    fn step_partition(&mut self, event: PartitionEvent) {
        if let PartitionEvent::PositionRead { position, .. } = &event {
            let asked = self.partition.step(self.now, event.clone(), &mut self.rng);
            if asked
                .iter()
                .any(|action| matches!(action, PartitionAction::SendTrySync { .. }))
            {
                self.end = position.end.index;
            }
            return self.partition_actions(asked);
        }
        let actions = self.partition.step(self.now, event, &mut self.rng);
        self.partition_actions(actions);
    }

    fn partition_actions(&mut self, actions: Vec<PartitionAction>) {
        for action in actions {
            match action {
                PartitionAction::ReadPosition { attempt } => {
                    assert!(attempt.0 > self.attempts.1, "an attempt's number comes once");
                    self.attempts.1 = attempt.0;
                }
                PartitionAction::OpenStream {
                    from, history, session, ..
                } => {
                    assert_eq!(
                        Some(from),
                        self.end.checked_add(1),
                        "a stream begins after the log's end"
                    );
                    assert!(history.current().is_some_and(|epoch| epoch.first_index <= from));
                    assert_eq!(Some(session), self.session);
                }
                PartitionAction::ReportSessionLost(session) => {
                    self.step_instance(InstanceEvent::SessionLost { session })
                }
                _ => {}
            }
        }
    }

    fn check(&self) {
        let (instance, partition) = (self.instance.state(), self.partition.state());
        let waits = matches!(instance, InstanceState::NoConnect) && !self.followed;
        assert!(waits || self.instance.deadline().is_some(), "{:?}", self.instance);
        let waits = matches!(partition, PartitionState::NoConnect) && self.session.is_none();
        assert!(waits || self.partition.deadline().is_some(), "{:?}", self.partition);
        assert_eq!(matches!(instance, InstanceState::Connected), self.session.is_some());
        let (_, _) = (self.instance.status(self.now), self.partition.status(self.now));
    }
}

/// A follower among a few.
fn holder(input: &mut Input<'_>) -> Holder {
    Holder {
        node: NodeId(input.choose(4).into()),
        purpose: if input.choose(4) == 0 {
            Purpose::Duplication
        } else {
            Purpose::Replica
        },
    }
}

fn sessions(mut input: Input<'_>) {
    let source = SourceIdentity {
        node: NodeId(3),
        incarnation: Incarnation(1),
        partitions: vec![layout()],
        session_timeout: Duration::from_secs(10),
    };
    let (mut sessions, mut rng, mut now) = (Sessions::new(), Rng(5), Time::default());
    let mut newest = SessionId(0);
    while !input.is_empty() {
        now = now + Duration::from_millis(u64::from(input.byte()) * 20);
        let id = if input.flag() {
            newest
        } else {
            SessionId(input.number())
        };
        match input.choose(6) {
            0..=2 => {
                let Holder { node, purpose } = holder(&mut input);
                let wanted = Layout {
                    partition: PartitionId {
                        table: "0".into(),
                        number: u32::from(input.choose(8) == 0),
                    },
                    ..layout()
                };
                let request = MetaSync {
                    version_min: u32::from(input.choose(8) == 0) * 7,
                    version_max: input.number() as u32,
                    node,
                    incarnation: Incarnation(input.choose(3).into()),
                    attempt: AttemptId(input.number()),
                    purpose,
                    announce_host: None,
                    announce_port: 1,
                    wanted: vec![wanted; usize::from(input.choose(3))],
                    silence_timeout: Duration::from_millis(input.number().max(1)),
                };
                let before: BTreeSet<_> = sessions.iter().map(|session| session.id).collect();
                let handshake = sessions.meta_sync(now, &request, &source, &mut rng);
                let after: BTreeSet<_> = sessions.iter().map(|session| session.id).collect();
                match &handshake.reply {
                    Ok(accepted) => {
                        newest = accepted.session;
                        assert!(after.contains(&newest) && before.contains(&newest) == handshake.repeated);
                        assert_ne!(request.node, source.node);
                    }
                    Err(_) => assert_eq!(before, after, "who is refused changes nothing"),
                }
                let gone: Vec<_> = before.difference(&after).copied().collect();
                assert_eq!(
                    gone,
                    handshake
                        .replaced
                        .iter()
                        .map(|replaced| replaced.id)
                        .collect::<Vec<_>>()
                );
            }
            3 => {
                let known = sessions.iter().any(|session| session.id == id);
                assert_eq!(sessions.heard(now, id).is_ok(), known);
            }
            4 => sessions.broken(id),
            _ => {
                let timeout = Duration::from_millis(input.number().max(1));
                let ended = sessions.expire(now, timeout);
                assert!(ended.iter().all(|session| session.heard + timeout <= now));
                assert!(sessions.deadline(timeout).is_none_or(|at| at > now));
                if input.flag() {
                    assert!(sessions.close(id).is_none_or(|session| session.id == id));
                }
            }
        }
        let holders: BTreeSet<_> = sessions.iter().map(|session| session.holder).collect();
        assert_eq!(holders.len(), sessions.iter().count(), "one session for each");
    }
}

fn checkpoints(mut input: Input<'_>) {
    let settings = CheckpointSettings::default();
    let (mut now, mut rng) = (Time::default(), Rng(9));
    let mut books = Checkpoints::new(settings.clone());
    let mut on_disk: BTreeSet<SnapshotId> = BTreeSet::new();
    let (mut making, mut newest) = (None, SnapshotId(0));
    while !input.is_empty() {
        now = now + Duration::from_secs(u64::from(input.byte()) / 4);
        let holder = holder(&mut input);
        let mut gone = Vec::new();
        match input.choose(7) {
            0 | 1 => {
                let reject = (input.choose(6) == 0).then_some(newest);
                match books.acquire(now, holder, reject, input.index() >> 8, &mut rng) {
                    Acquired::Make(id) => {
                        assert!(making.is_none(), "two at a time");
                        making = Some(id);
                    }
                    Acquired::Ready(id) => {
                        assert!(on_disk.contains(&id) && Some(id) != reject);
                        newest = id;
                        assert!(books.renew(now, holder, id).is_ok());
                    }
                    Acquired::Busy => {}
                }
            }
            2 => {
                let id = making.take().unwrap_or(newest);
                let index = input.index();
                if books.made(now, id, input.flag().then_some(Made { index })) {
                    on_disk.insert(id);
                }
            }
            3 => drop(books.renew(now, holder, newest)),
            4 => gone = books.release(holder, newest),
            5 => gone = books.expire(now),
            _ => {
                books.condemn(newest);
                if input.choose(8) == 0 {
                    gone = books.clear();
                    making = None;
                }
            }
        }
        for id in gone {
            assert!(on_disk.remove(&id), "{id} goes twice");
        }
        let known: BTreeSet<_> = books.iter().map(|(id, _)| id).collect();
        assert_eq!(known, on_disk, "what is on the disk is known, and no more");
        assert!(on_disk.len() <= settings.checkpoints_max);
        let _ = (books.deadline(), books.log_needed_from());
    }
}

fn progress(mut input: Input<'_>) {
    let (mut now, mut books) = (Time::default(), Progress::new(PinSettings::default()));
    while !input.is_empty() {
        now = now + Duration::from_secs(u64::from(input.byte()));
        let holder = holder(&mut input);
        let before = books.get(holder).copied();
        match input.choose(6) {
            0 => books.pin(now, holder, input.index()),
            1 => books.stream_opened(now, holder, input.index().max(1)),
            2 => {
                let acks = Acks {
                    durable: input.index(),
                    applied: input.index(),
                };
                books.acked(now, holder, acks);
                let (before, after) = (before.map(|f| f.acks), books.get(holder).map(|f| f.acks));
                if let (Some(before), Some(after)) = (before, after) {
                    assert!(after.durable >= before.durable && after.applied >= before.applied);
                }
            }
            3 => books.stream_closed(now, holder),
            4 => books.forget(holder),
            _ => {
                let first = input.index();
                let (from, dropped) = books.retain_from(now, first);
                assert!(from.is_none_or(|from| from >= first));
                assert!(dropped.iter().all(|(holder, _)| books.get(*holder).is_none()));
            }
        }
        let index = input.index();
        assert!(books.applied(index) <= books.iter().count() && books.durable(index) <= books.iter().count());
        let _ = books.good_replicas(now, Duration::from_secs(10));
    }
}
