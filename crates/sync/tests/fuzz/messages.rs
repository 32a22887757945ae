//! Any bytes as a message: what can be read goes out again as something that reads as the same, and the source's and the
//! follower's side make an answer, an error or a refusal of it, and no more.

use std::fmt::Debug;
use std::time::Duration;

use haypile_sync::copy::CopyRefusal;
use haypile_sync::follower::{Identity, Instance, InstanceEvent, Partition, PartitionAction, PartitionEvent, Session};
use haypile_sync::message::{
    Accepted, CopyChunkRequest, CopyMetaRequest, FollowerFrame, FrameBody, HoldCheckpoint, Layout, LocalPosition,
    MetaSync, Refusal, SourceFrame, TrySync, TrySyncReply,
};
use haypile_sync::source::{Holder, LogView, PinSettings, Progress, Sessions, SourceIdentity, answer};
use haypile_sync::stream::{Inbox, Next, Receiver, Sender, StreamSettings, Verdict};
use haypile_sync::wire::v1;
use haypile_sync::{
    Epoch, EpochHistory, EpochId, Incarnation, NodeId, POSITION_MAX, PartitionId, Purpose, SessionId, Settings, Time,
};
use haypile_types::Random;
use prost::Message;

use super::input::Input;

/// The same numbers each time.
pub struct Rng(pub u64);

impl Random for Rng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 33)
    }
}

/// Which message the bytes after it are: the first byte, modulo this.
pub const KINDS: u8 = 12;

/// Reads the first byte as the kind of the message that the others are.
pub fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % KINDS {
        0 => read::<v1::MetaSyncRequest, MetaSync>(bytes).iter().for_each(handshake),
        1 => read::<v1::MetaSyncReply, Result<Accepted, Refusal>>(bytes)
            .iter()
            .for_each(accepted),
        2 => read::<v1::TrySyncRequest, TrySync>(bytes).iter().for_each(ask),
        3 => read::<v1::TrySyncReply, TrySyncReply>(bytes).iter().for_each(replied),
        4 => drop(read::<v1::HeartbeatReply, Result<(), Refusal>>(bytes)),
        5 => drop(read::<v1::CopyMetaRequest, CopyMetaRequest>(bytes)),
        6 => drop(read::<v1::CopyChunkRequest, CopyChunkRequest>(bytes)),
        7 => drop(read::<v1::HoldCheckpointRequest, HoldCheckpoint>(bytes)),
        8 => drop(read::<v1::CopyChunkReply, Result<bytes::Bytes, CopyRefusal>>(bytes)),
        9 => drop(read::<v1::HoldCheckpointReply, Result<(), CopyRefusal>>(bytes)),
        10 => take_frames(bytes),
        _ => take_acks(bytes),
    }
}

/// The message, if it is one.
fn read<Wire, Core>(bytes: &[u8]) -> Option<Core>
where
    Wire: Message + Default + From<Core>,
    Core: TryFrom<Wire> + Clone + Debug + PartialEq,
    <Core as TryFrom<Wire>>::Error: Debug + PartialEq,
{
    let core = Core::try_from(Wire::decode(bytes).ok()?).ok()?;
    let again = Wire::from(core.clone()).encode_to_vec();
    let again = Wire::decode(again.as_slice()).map(Core::try_from);
    assert_eq!(
        again,
        Ok(Ok(core.clone())),
        "what was read does not go out as it came in"
    );
    Some(core)
}

pub fn partition() -> PartitionId {
    PartitionId {
        table: "0".into(),
        number: 0,
    }
}

pub fn layout() -> Layout {
    Layout {
        partition: partition(),
        slot_first: 0,
        slot_last: 16383,
        format: 3,
    }
}

/// A history with an epoch at each of these indexes.
pub fn history(first_indexes: &[u64]) -> EpochHistory {
    let epoch = |(n, first_index): (u64, &u64)| Epoch {
        term: n,
        id: EpochId(n.into()),
        first_index: *first_index,
    };
    EpochHistory::from_epochs((1..).zip(first_indexes).map(epoch).collect()).unwrap()
}

/// Logs that a source may have: new, short, with a beginning that is gone, of several writers, and one that follows.
pub fn logs() -> [LogView; 5] {
    let log = |first_indexes: &[u64], first, last, writer| LogView {
        history: history(first_indexes),
        first,
        last,
        writer,
    };
    [
        log(&[], 1, 0, false),
        log(&[1], 1, 0, true),
        log(&[1], 1, 10, true),
        log(&[1, 5, 5, 8], 4, 12, true),
        log(&[1, 5], 3, 6, false),
    ]
}

fn handshake(request: &MetaSync) {
    let source = SourceIdentity {
        node: NodeId(100),
        incarnation: Incarnation(1),
        partitions: vec![layout()],
        session_timeout: Duration::from_secs(10),
    };
    let (mut sessions, mut rng) = (Sessions::new(), Rng(1));
    let at = Time::from_millis;
    let mut ask = |sessions: &mut Sessions, ms| sessions.meta_sync(at(ms), request, &source, &mut rng).reply;
    let first = ask(&mut sessions, 0);
    assert_eq!(ask(&mut sessions, 1), first, "the same again gets the same");
    let Ok(accepted) = first else {
        assert_eq!(sessions.iter().count(), 0);
        return;
    };
    assert!(sessions.heard(at(2), accepted.session).is_ok());
    assert_eq!(sessions.expire(at(10_001), Duration::from_secs(10)), []);
    assert_eq!(sessions.expire(at(10_002), Duration::from_secs(10)).len(), 1);
    // What it waits for becomes the settings of its stream.
    let settings = StreamSettings {
        keepalive_interval: Duration::from_secs(1).min(request.silence_timeout / 4),
        ..StreamSettings::default()
    };
    let log = &logs()[2];
    let sender = Sender::open(settings, log, 11, EpochId(1), at(0)).unwrap();
    let _ = sender.next(at(1), log.last, &log.history, false);
}

/// A follower that waits for the answer to its handshake.
pub fn instance() -> Instance {
    let identity = Identity {
        node: NodeId(1),
        incarnation: Incarnation(1),
        purpose: Purpose::Replica,
        announce_host: None,
        announce_port: 6379,
        wanted: vec![layout()],
    };
    Instance::new(identity, Settings::default(), Time::default())
}

fn accepted(reply: &Result<Accepted, Refusal>) {
    let (mut machine, mut rng) = (instance(), Rng(1));
    let attempt = haypile_sync::AttemptId(1);
    let mut step = |machine: &mut Instance, ms, event| machine.step(Time::from_millis(ms), event, &mut rng);
    step(&mut machine, 0, InstanceEvent::Follow("h:1".into()));
    step(&mut machine, 0, InstanceEvent::Tick);
    step(&mut machine, 1, InstanceEvent::Dialed { attempt });
    let event = InstanceEvent::Replied {
        attempt,
        reply: reply.clone(),
    };
    step(&mut machine, 2, event);
    for ms in [3, 1_000, 5_000, 20_000, 100_000] {
        assert!(machine.deadline().is_some(), "{machine:?}");
        let _ = machine.status(Time::from_millis(ms));
        step(&mut machine, ms, InstanceEvent::Tick);
    }
}

fn ask(request: &TrySync) {
    let holder = Holder {
        node: NodeId(1),
        purpose: Purpose::Replica,
    };
    for log in logs() {
        if let TrySyncReply::Continue { from, history } = answer(&log, &request.position) {
            assert_eq!(from, request.position.end.index + 1);
            assert!(log.first <= from && from <= log.last + 1);
            assert_eq!(history, log.history.up_to(from - 1));
            let mut progress = Progress::new(PinSettings::default());
            progress.pin(Time::default(), holder, from);
            let epoch = history.current().unwrap().id;
            Sender::open(StreamSettings::default(), &log, from, epoch, Time::default()).unwrap();
        }
    }
}

fn replied(reply: &TrySyncReply) {
    let session = Session {
        id: SessionId(1),
        source: NodeId(2),
        source_incarnation: Incarnation(1),
        version: 1,
        source_timeout: Duration::from_secs(10),
    };
    for (index, first_indexes) in [(0, &[][..]), (10, &[1][..]), (POSITION_MAX, &[1, 2][..])] {
        let now = Time::default();
        let mut machine = Partition::new(partition(), "h:1".into(), Settings::default(), now);
        let attempt = haypile_sync::AttemptId(1);
        let history = history(first_indexes);
        let position = LocalPosition {
            end: history.position_of(index).unwrap(),
            durable: index,
            applied: index,
            history,
            poisoned: false,
        };
        let events = [
            PartitionEvent::SessionUp(session.clone()),
            PartitionEvent::Tick,
            PartitionEvent::PositionRead { attempt, position },
            PartitionEvent::Replied {
                attempt,
                reply: reply.clone(),
            },
        ];
        let mut actions = Vec::new();
        for event in events {
            actions.extend(machine.step(now, event, &mut Rng(1)));
        }
        assert!(machine.deadline().is_some(), "{machine:?}");
        for action in actions {
            if let PartitionAction::OpenStream { from, history, .. } = action {
                assert_eq!(Some(from), index.checked_add(1));
                let acks = Default::default();
                let receiver = Receiver::new(StreamSettings::default(), from, history, acks, now);
                assert_eq!(receiver.last(), index);
            }
        }
    }
}

/// The frames of a source, each with its length before it, at a follower whose log ends at 5.
fn take_frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let end = u64::from(input.choose(2)) * 5;
    let mut known = history(&[1]);
    let now = Time::default();
    let mut receiver = Receiver::new(
        StreamSettings::default(),
        end + 1,
        known.clone(),
        Default::default(),
        now,
    );
    let mut inbox = Inbox::default();
    while !input.is_empty() {
        let Some(frame) = read::<v1::SourceFrame, SourceFrame>(input.piece()) else {
            continue;
        };
        receiver.source_end(now, frame.end.last, frame.end.unsent_bytes, frame.end.clock_ms);
        let before = receiver.last();
        match frame.body {
            FrameBody::Epoch { epoch, after } => {
                if let Ok(Some(history)) = receiver.epoch(epoch, after) {
                    assert_eq!(
                        history.up_to(before),
                        *history,
                        "an epoch that begins after the log's end"
                    );
                    assert_eq!(history.epochs().len(), known.epochs().len() + 1);
                    known = history.clone();
                }
            }
            FrameBody::Batch(batch) => {
                if let Ok(Verdict::Append { skip }) = receiver.batch(batch.first, batch.last) {
                    assert_eq!(batch.first.index + skip, before + 1, "a gap, or an entry twice");
                    assert!(batch.last.index > before);
                    assert_eq!(known.position_of(batch.last.index), Some(batch.last));
                    receiver.appended(batch.last.index);
                    receiver.progress(batch.last.index, batch.last.index);
                    inbox.take(batch.last.index);
                }
            }
            FrameBody::Keepalive { sent } => assert_eq!(receiver.keepalive(sent).is_ok(), sent <= before),
            FrameBody::Published(messages) => {
                if inbox.put(messages).is_err() {
                    return;
                }
                assert!(inbox.take(before).iter().all(|message| message.after <= before));
                let _ = inbox.check();
            }
            FrameBody::Part(_) | FrameBody::Closed(_) => {}
        }
        let _ = (receiver.lag(now, 0), receiver.lag(now, u64::MAX), receiver.ack(now));
    }
}

/// The frames of a follower, each with its length before it, at a source with one of the logs.
fn take_acks(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let log = &logs()[usize::from(input.choose(5))];
    let now = Time::default();
    let Some(FollowerFrame::Open(open)) = read::<v1::FollowerFrame, FollowerFrame>(input.piece()) else {
        return;
    };
    let Ok(mut sender) = Sender::open(StreamSettings::default(), log, open.from, open.epoch, now) else {
        return;
    };
    let holder = Holder {
        node: NodeId(1),
        purpose: Purpose::Replica,
    };
    let mut progress = Progress::new(PinSettings::default());
    progress.stream_opened(now, holder, open.from);
    let mut next = open.from;
    for _ in 0..40 {
        match sender.next(now, log.last, &log.history, true) {
            Next::Announce { epoch, .. } => {
                assert_eq!(epoch.first_index, next, "an epoch is announced where it begins");
                sender.announced(now, epoch.id);
            }
            Next::Read { from, to, .. } => {
                assert!(from == next && from <= to && to <= log.last);
                sender.sent(now, to, 100);
                next = to + 1;
            }
            Next::Keepalive { sent } => assert_eq!(sent + 1, next),
            Next::Wait(_) | Next::End(_) => {}
        }
        let Some(FollowerFrame::Acks(acks)) = read::<v1::FollowerFrame, FollowerFrame>(input.piece()) else {
            continue;
        };
        // Nothing else may count an acknowledgement.
        if sender.acked(now, acks).is_err() {
            return;
        }
        assert!(acks.durable < next && acks.applied < next);
        progress.acked(now, holder, acks);
        let counted = progress.get(holder).unwrap().acks;
        assert_eq!(
            (counted.durable, counted.applied),
            (acks.durable.max(counted.durable), acks.applied.max(counted.applied))
        );
        assert!(progress.get(holder).unwrap().needs <= next);
    }
}
