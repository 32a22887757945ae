//! Machines in each of their states, and what they may be given.

use std::time::Duration;

use haypile_sync::follower::{
    Identity, Instance, InstanceAction, InstanceEvent, InstanceInput, InstanceState, Partition, PartitionEvent,
    PartitionInput, PartitionState, Session,
};
use haypile_sync::message::{Accepted, CheckpointReason, TrySyncReply};
use haypile_sync::{
    AttemptId, EpochHistory, EpochId, ErrorKind, Failure, Incarnation, LocalPosition, NodeId, PartitionId, Purpose,
    SessionId, Settings, Time,
};
use haypile_types::Random;

pub struct Rng(pub u64);

impl Random for Rng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0
    }
}

pub fn failure() -> Failure {
    Failure::new(ErrorKind::PeerClosed, "gone")
}

pub fn accepted() -> Accepted {
    Accepted {
        node: NodeId(2),
        incarnation: Incarnation(2),
        session: SessionId(5),
        version: 1,
        partitions: Vec::new(),
        session_timeout: Duration::from_secs(10),
    }
}

/// An instance machine in the given state, the attempt it is in, and the time.
pub fn instance_in(state: InstanceState) -> (Instance, AttemptId, Time) {
    let identity = Identity {
        node: NodeId(1),
        incarnation: Incarnation(1),
        purpose: Purpose::Replica,
        announce_host: None,
        announce_port: 0,
        wanted: Vec::new(),
    };
    let now = Time::from_millis(1000);
    let mut machine = Instance::new(identity, Settings::default(), now);
    let attempt = AttemptId(1);
    let way: &[InstanceInput] = match state {
        InstanceState::NoConnect => &[InstanceInput::Follow],
        InstanceState::Connect => &[InstanceInput::Follow, InstanceInput::Deadline],
        InstanceState::Connecting => &[InstanceInput::Follow, InstanceInput::Deadline, InstanceInput::Dialed],
        InstanceState::Connected => &[
            InstanceInput::Follow,
            InstanceInput::Deadline,
            InstanceInput::Dialed,
            InstanceInput::Accepted,
        ],
        InstanceState::Error => &[InstanceInput::Follow, InstanceInput::Deadline, InstanceInput::Failed],
    };
    for input in way {
        give_instance(&mut machine, now, *input, attempt);
    }
    assert_eq!(machine.state(), state);
    (machine, attempt, now)
}

pub fn give_instance(
    machine: &mut Instance,
    now: Time,
    input: InstanceInput,
    attempt: AttemptId,
) -> Vec<InstanceAction> {
    let event = match input {
        InstanceInput::Follow => InstanceEvent::Follow("a:1".into()),
        InstanceInput::Unfollow => InstanceEvent::Unfollow,
        InstanceInput::Retry => InstanceEvent::Retry,
        InstanceInput::Dialed => InstanceEvent::Dialed { attempt },
        InstanceInput::Accepted => InstanceEvent::Replied {
            attempt,
            reply: Ok(accepted()),
        },
        InstanceInput::Failed => InstanceEvent::Failed {
            attempt,
            failure: failure(),
        },
        InstanceInput::Deadline => InstanceEvent::Tick,
    };
    machine.step(now, event, &mut Rng(1))
}

pub fn session(id: u64) -> Session {
    Session {
        id: SessionId(id),
        source: NodeId(2),
        source_incarnation: Incarnation(2),
        version: 1,
        source_timeout: Duration::from_secs(10),
    }
}

pub fn partition_in(state: PartitionState) -> (Partition, AttemptId, Time) {
    use PartitionInput as I;
    let now = Time::from_millis(1000);
    let id = PartitionId {
        table: "0".into(),
        number: 0,
    };
    let mut machine = Partition::new(id, "a:1".into(), Settings::default(), now);
    let attempt = AttemptId(1);
    // NoConnect with a session: back from Error.
    let way: &[I] = match state {
        PartitionState::NoConnect => &[I::SessionUp, I::Failed, I::Retry],
        PartitionState::TryConnect => &[I::SessionUp],
        PartitionState::WaitReply => &[I::SessionUp, I::PositionRead],
        PartitionState::WaitDBSync => &[I::SessionUp, I::PositionRead, I::Checkpoint],
        PartitionState::Connected => &[I::SessionUp, I::PositionRead, I::Continue],
        PartitionState::Error => &[I::SessionUp, I::Failed],
    };
    for input in way {
        let event = partition_event(*input, attempt, 5);
        machine.step(now, event, &mut Rng(1));
    }
    assert_eq!(machine.state(), state);
    (machine, attempt, now)
}

pub fn partition_event(input: PartitionInput, attempt: AttemptId, session_id: u64) -> PartitionEvent {
    let mut history = EpochHistory::new();
    history.begin(EpochId(1), 0);
    match input {
        PartitionInput::SessionUp => PartitionEvent::SessionUp(session(session_id)),
        PartitionInput::SessionDown => PartitionEvent::SessionDown(SessionId(5)),
        PartitionInput::Restart => PartitionEvent::Restart,
        PartitionInput::Retry => PartitionEvent::Retry,
        PartitionInput::PositionRead => PartitionEvent::PositionRead {
            attempt,
            position: LocalPosition::default(),
        },
        PartitionInput::Continue => PartitionEvent::Replied {
            attempt,
            reply: TrySyncReply::Continue { from: 1, history },
        },
        PartitionInput::Checkpoint | PartitionInput::CheckpointAgain => PartitionEvent::Replied {
            attempt,
            reply: TrySyncReply::Checkpoint(CheckpointReason::Empty),
        },
        PartitionInput::Installed => PartitionEvent::Installed { attempt },
        PartitionInput::Failed => PartitionEvent::Failed {
            attempt,
            failure: failure(),
        },
        PartitionInput::Deadline => PartitionEvent::Tick,
    }
}
