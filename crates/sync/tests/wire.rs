//! The messages' encoding: what goes out comes back the same, and nothing that was not set comes back as an answer.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use haypile_sync::copy::{CHUNK_BYTES_MIN, ChunkRef, CopyRefusal, Digest, FileEntry, Manifest};
use haypile_sync::message::{
    Accepted, Batch, CheckpointReason, Closed, Compression, CopyChunkRequest, CopyMetaRequest, FollowerFrame,
    FrameBody, HoldCheckpoint, Layout, LocalPosition, Message as Published, MetaSync, Open, Refusal, SourceEnd,
    SourceFrame, TrySync, TrySyncReply,
};
use haypile_sync::source::Acks;
use haypile_sync::wire::{WireError, v1};
use haypile_sync::{
    AttemptId, Epoch, EpochHistory, EpochId, Incarnation, NodeId, NotReady, POSITION_MAX, PartitionId, Purpose,
    SessionId, SnapshotId,
};
use haypile_types::Position;
use proptest::prelude::*;
use prost::Message;

/// Through the encoding and back.
fn round_trip<Core, Wire>(message: Core) -> Core
where
    Wire: Message + Default + From<Core>,
    Core: TryFrom<Wire, Error = WireError>,
{
    let bytes = Wire::from(message).encode_to_vec();
    Wire::decode(bytes.as_slice()).unwrap().try_into().unwrap()
}

// ---- any message

fn partition() -> impl Strategy<Value = PartitionId> {
    (".{0,8}", any::<u32>()).prop_map(|(table, number)| PartitionId { table, number })
}

fn layout() -> impl Strategy<Value = Layout> {
    (partition(), any::<u16>(), any::<u16>(), any::<u32>()).prop_map(|(partition, slot_first, slot_last, format)| {
        Layout {
            partition,
            slot_first,
            slot_last,
            format,
        }
    })
}

fn index() -> impl Strategy<Value = u64> {
    0..=POSITION_MAX
}

fn position() -> impl Strategy<Value = Position> {
    (index(), index()).prop_map(|(term, index)| Position::new(term, index))
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (index(), any::<u128>(), index()).prop_map(|(term, id, first_index)| Epoch {
        term,
        id: EpochId(id),
        first_index,
    })
}

fn history() -> impl Strategy<Value = EpochHistory> {
    prop::collection::vec((any::<u128>(), 0u64..1000), 0..6).prop_map(|steps| {
        let (mut history, mut last) = (EpochHistory::new(), 0);
        for (id, entries) in steps {
            history.begin(EpochId(id), last);
            last += entries;
        }
        history
    })
}

/// What people can read.
fn text() -> impl Strategy<Value = String> {
    "\\PC{0,100}"
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let not_ready = prop_oneof![
        Just(NotReady::Busy),
        Just(NotReady::Loading),
        Just(NotReady::Behind),
        Just(NotReady::Circle)
    ];
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(min, max)| Refusal::ProtocolVersion { min, max }),
        text().prop_map(Refusal::Unauthorized),
        text().prop_map(Refusal::LayoutMismatch),
        Just(Refusal::FollowsItself),
        Just(Refusal::Stale),
        Just(Refusal::UnknownSession),
        text().prop_map(Refusal::IdInUse),
        not_ready.prop_map(Refusal::NotReady),
        text().prop_map(Refusal::Invalid),
        text().prop_map(Refusal::Internal),
    ]
}

fn copy_refusal() -> impl Strategy<Value = CopyRefusal> {
    prop_oneof![
        Just(CopyRefusal::Busy),
        Just(CopyRefusal::Gone),
        Just(CopyRefusal::UnknownSession),
        text().prop_map(CopyRefusal::Corrupt),
        text().prop_map(CopyRefusal::NoSpace),
        text().prop_map(CopyRefusal::Refused),
    ]
}

fn meta_sync() -> impl Strategy<Value = MetaSync> {
    let purpose = prop_oneof![
        Just(Purpose::Replica),
        Just(Purpose::Learner),
        Just(Purpose::Duplication),
        Just(Purpose::Restore)
    ];
    let ids = (any::<u128>(), any::<u64>(), any::<u64>());
    let announce = (prop::option::of("[a-z0-9.:-]{1,40}"), any::<u16>(), 1..u64::MAX);
    let wanted = prop::collection::vec(layout(), 0..4);
    (any::<(u32, u32)>(), ids, purpose, announce, wanted).prop_map(|(versions, ids, purpose, announce, wanted)| {
        MetaSync {
            version_min: versions.0,
            version_max: versions.1,
            node: NodeId(ids.0),
            incarnation: Incarnation(ids.1),
            attempt: AttemptId(ids.2),
            purpose,
            announce_host: announce.0,
            announce_port: announce.1,
            wanted,
            silence_timeout: Duration::from_millis(announce.2),
        }
    })
}

fn accepted() -> impl Strategy<Value = Accepted> {
    let ids = (any::<u128>(), any::<u64>(), any::<u64>());
    (ids, any::<u32>(), prop::collection::vec(layout(), 0..4), 1..u64::MAX).prop_map(
        |(ids, version, partitions, ms)| Accepted {
            node: NodeId(ids.0),
            incarnation: Incarnation(ids.1),
            session: SessionId(ids.2),
            version,
            partitions,
            session_timeout: Duration::from_millis(ms),
        },
    )
}

fn result<T: Debug + Clone, E: Debug + Clone>(
    ok: impl Strategy<Value = T>,
    error: impl Strategy<Value = E>,
) -> impl Strategy<Value = Result<T, E>> {
    (ok, error, any::<bool>()).prop_map(|(ok, error, good)| if good { Ok(ok) } else { Err(error) })
}

fn try_sync() -> impl Strategy<Value = TrySync> {
    let local = (position(), index(), index(), history(), any::<bool>());
    let local = local.prop_map(|(end, durable, applied, history, poisoned)| LocalPosition {
        end,
        durable,
        applied,
        history,
        poisoned,
    });
    (any::<u64>(), any::<u64>(), partition(), local).prop_map(|(session, attempt, partition, position)| TrySync {
        session: SessionId(session),
        attempt: AttemptId(attempt),
        partition,
        position,
    })
}

fn try_sync_reply() -> impl Strategy<Value = TrySyncReply> {
    let reason = prop_oneof![
        Just(CheckpointReason::Empty),
        Just(CheckpointReason::ForeignHistory),
        Just(CheckpointReason::Poisoned),
        any::<(u64, u64)>().prop_map(|(wanted, first)| CheckpointReason::LogCollected { wanted, first }),
        (position(), position(), position()).prop_map(|(common, lost_first, lost_last)| {
            CheckpointReason::Diverged {
                common,
                lost_first,
                lost_last,
            }
        }),
    ];
    prop_oneof![
        (index(), history()).prop_map(|(from, history)| TrySyncReply::Continue { from, history }),
        reason.prop_map(TrySyncReply::Checkpoint),
        refusal().prop_map(TrySyncReply::Refused),
    ]
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let sizes = prop::collection::vec((0..20_000u64, any::<u128>()), 0..8);
    (any::<u128>(), sizes, history()).prop_map(|(snapshot, sizes, history)| {
        let file = |(n, (size, digest)): (usize, (u64, u128))| FileEntry {
            name: format!("{n:06}.sst"),
            size,
            digests: vec![Digest(digest); size.div_ceil(u64::from(CHUNK_BYTES_MIN)) as usize],
        };
        let files = sizes.into_iter().enumerate().map(file).collect();
        let index = history.current().map_or(0, |epoch| epoch.first_index);
        let position = history.position_of(index).unwrap();
        Manifest::new(SnapshotId(snapshot), position, history, CHUNK_BYTES_MIN, files).unwrap()
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Zstd)]
}

fn published() -> impl Strategy<Value = Published> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let numbers = any::<(u64, bool, Option<u64>)>();
    (numbers, bytes(), bytes()).prop_map(|((after, sharded, within), channel, payload)| Published {
        after,
        sharded,
        channel: channel.into(),
        payload: payload.into(),
        within,
    })
}

fn source_frame() -> impl Strategy<Value = SourceFrame> {
    let entries = prop::collection::vec(any::<u8>(), 0..50);
    let batch = (position(), position(), compression(), any::<u64>(), entries);
    let batch = batch.prop_map(|(first, last, compression, entries_bytes, entries)| Batch {
        first,
        last,
        compression,
        entries_bytes,
        entries: entries.into(),
    });
    let closed = prop_oneof![
        any::<(u64, u64)>().prop_map(|(wanted, first)| Closed::LogCollected { wanted, first }),
        refusal().prop_map(Closed::Refused),
        text().prop_map(Closed::OutOfOrder),
    ];
    let body = prop_oneof![
        (epoch(), any::<u128>()).prop_map(|(epoch, after)| FrameBody::Epoch {
            epoch,
            after: EpochId(after)
        }),
        batch.prop_map(FrameBody::Batch),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(|part| FrameBody::Part(part.into())),
        any::<u64>().prop_map(|sent| FrameBody::Keepalive { sent }),
        prop::collection::vec(published(), 0..4).prop_map(FrameBody::Published),
        closed.prop_map(FrameBody::Closed),
    ];
    (any::<(u64, u64, u64)>(), any::<bool>(), body).prop_map(|((last, unsent_bytes, clock_ms), ack_wanted, body)| {
        SourceFrame {
            end: SourceEnd {
                last,
                unsent_bytes,
                clock_ms,
            },
            ack_wanted,
            body,
        }
    })
}

fn follower_frame() -> impl Strategy<Value = FollowerFrame> {
    let ids = any::<(u64, u64, u128)>();
    let open = (ids, index(), partition(), compression());
    let open = open.prop_map(|((session, attempt, epoch), from, partition, compression)| Open {
        session: SessionId(session),
        attempt: AttemptId(attempt),
        partition,
        from,
        epoch: EpochId(epoch),
        compression,
    });
    let acks = (index(), index()).prop_map(|(durable, applied)| Acks { durable, applied });
    prop_oneof![open.prop_map(FollowerFrame::Open), acks.prop_map(FollowerFrame::Acks)]
}

#[test]
fn texts_from_elsewhere_have_one_line_and_an_end() {
    let told = |cause: String| {
        let wire = v1::Refusal {
            reason: Some(v1::refusal::Reason::Internal(cause)),
        };
        Refusal::try_from(wire).unwrap()
    };
    assert_eq!(
        told("a\r\nmaster_link_status:up\u{1b}[1m".into()),
        Refusal::Internal("a  master_link_status:up [1m".into())
    );
    assert_eq!(told("ü".repeat(5000)), Refusal::Internal("ü".repeat(1000)));
}

#[test]
fn numbers_to_which_one_cannot_be_added_are_refused() {
    let wire = v1::Position {
        term: 1,
        index: u64::MAX,
    };
    assert_eq!(
        Position::try_from(wire),
        Err(WireError::Bounds("position.index", u64::MAX))
    );
    let acks = v1::follower_frame::Frame::Acks(v1::Acks {
        durable: 1,
        applied: u64::MAX,
    });
    let frame = v1::FollowerFrame { frame: Some(acks) };
    assert!(matches!(FollowerFrame::try_from(frame), Err(WireError::Bounds(..))));
}

proptest! {
    #[test]
    fn messages_of_the_session(request in meta_sync(), reply in result(accepted(), refusal()),
                               beat in result(Just(()), refusal())) {
        prop_assert_eq!(round_trip::<_, v1::MetaSyncRequest>(request.clone()), request);
        prop_assert_eq!(round_trip::<_, v1::MetaSyncReply>(reply.clone()), reply);
        prop_assert_eq!(round_trip::<_, v1::HeartbeatReply>(beat.clone()), beat);
    }

    #[test]
    fn messages_of_try_sync(request in try_sync(), reply in try_sync_reply()) {
        prop_assert_eq!(round_trip::<_, v1::TrySyncRequest>(request.clone()), request);
        prop_assert_eq!(round_trip::<_, v1::TrySyncReply>(reply.clone()), reply);
    }

    #[test]
    fn messages_of_the_copy(manifest in result(manifest(), copy_refusal()), held in result(Just(()), copy_refusal()),
                            chunk in result(prop::collection::vec(any::<u8>(), 0..99), copy_refusal()),
                            ids in any::<(u64, u128, u32, u32, bool)>(), partition in partition()) {
        let bytes = v1::CopyMetaReply::from(manifest.as_ref().map_err(Clone::clone)).encode_to_vec();
        let back: Result<Manifest, CopyRefusal> =
            v1::CopyMetaReply::decode(bytes.as_slice()).unwrap().try_into().unwrap();
        prop_assert_eq!(back, manifest);
        let chunk = chunk.map(Bytes::from);
        prop_assert_eq!(round_trip::<_, v1::CopyChunkReply>(chunk.clone()), chunk);
        prop_assert_eq!(round_trip::<_, v1::HoldCheckpointReply>(held.clone()), held);

        let (session, snapshot) = (SessionId(ids.0), SnapshotId(ids.1));
        let reject = ids.4.then_some(snapshot);
        let ask = CopyMetaRequest { session, partition: partition.clone(), reject };
        prop_assert_eq!(round_trip::<_, v1::CopyMetaRequest>(ask.clone()), ask);
        let chunk = ChunkRef { file: ids.2, chunk: ids.3 };
        let fetch = CopyChunkRequest { session, partition: partition.clone(), snapshot, chunk };
        prop_assert_eq!(round_trip::<_, v1::CopyChunkRequest>(fetch.clone()), fetch);
        let hold = HoldCheckpoint { session, partition, snapshot, renew: ids.4 };
        prop_assert_eq!(round_trip::<_, v1::HoldCheckpointRequest>(hold.clone()), hold);
    }

    #[test]
    fn messages_of_the_stream(source in source_frame(), follower in follower_frame()) {
        prop_assert_eq!(round_trip::<_, v1::SourceFrame>(source.clone()), source);
        prop_assert_eq!(round_trip::<_, v1::FollowerFrame>(follower.clone()), follower);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(reply) = v1::TrySyncReply::decode(bytes.as_slice()) {
            let _ = TrySyncReply::try_from(reply);
        }
        if let Ok(reply) = v1::CopyMetaReply::decode(bytes.as_slice()) {
            let _ = <Result<Manifest, CopyRefusal>>::try_from(reply);
        }
        if let Ok(frame) = v1::SourceFrame::decode(bytes.as_slice()) {
            let _ = SourceFrame::try_from(frame);
        }
    }
}

// ---- what nobody has set

#[test]
fn nothing_that_is_empty_is_an_answer() {
    let missing = |result: Result<(), WireError>| {
        assert!(
            matches!(result, Err(WireError::Missing(_) | WireError::IdLength(..))),
            "{result:?}"
        );
    };
    missing(<Result<Accepted, Refusal>>::try_from(v1::MetaSyncReply::default()).map(drop));
    missing(<Result<(), Refusal>>::try_from(v1::HeartbeatReply::default()).map(drop));
    missing(TrySyncReply::try_from(v1::TrySyncReply::default()).map(drop));
    missing(<Result<Manifest, CopyRefusal>>::try_from(v1::CopyMetaReply::default()).map(drop));
    missing(<Result<Bytes, CopyRefusal>>::try_from(v1::CopyChunkReply::default()).map(drop));
    missing(<Result<(), CopyRefusal>>::try_from(v1::HoldCheckpointReply::default()).map(drop));
    missing(SourceFrame::try_from(v1::SourceFrame::default()).map(drop));
    missing(FollowerFrame::try_from(v1::FollowerFrame::default()).map(drop));
    missing(Refusal::try_from(v1::Refusal::default()).map(drop));
    missing(CopyRefusal::try_from(v1::CopyRefusal::default()).map(drop));
    missing(CheckpointReason::try_from(v1::CheckpointNeeded::default()).map(drop));
    missing(Closed::try_from(v1::Closed::default()).map(drop));
    missing(Accepted::try_from(v1::Accepted::default()).map(drop));
    missing(Manifest::try_from(v1::Manifest::default()).map(drop));
    missing(MetaSync::try_from(v1::MetaSyncRequest::default()).map(drop));
    missing(TrySync::try_from(v1::TrySyncRequest::default()).map(drop));
    missing(HoldCheckpoint::try_from(v1::HoldCheckpointRequest::default()).map(drop));
}

#[test]
fn zero_and_unknown_values_of_enums_are_errors() {
    let not_ready = |value| {
        let reason = Some(v1::refusal::Reason::NotReady(value));
        Refusal::try_from(v1::Refusal { reason }).unwrap_err()
    };
    assert_eq!(not_ready(0), WireError::Unknown("not_ready", 0));
    assert_eq!(not_ready(99), WireError::Unknown("not_ready", 99));

    let request = v1::MetaSyncRequest {
        node: Bytes::from(vec![0; 16]),
        ..Default::default()
    };
    assert_eq!(
        MetaSync::try_from(request).unwrap_err(),
        WireError::Unknown("purpose", 0)
    );
}

#[test]
fn a_manifest_from_the_wire_cannot_lead_out_of_its_directory() {
    let file = v1::File {
        name: "../x".into(),
        size: 0,
        digests: Bytes::new(),
    };
    let manifest = v1::Manifest {
        snapshot: Bytes::from(vec![0; 16]),
        position: Some(v1::Position::default()),
        history: Some(v1::EpochHistory::default()),
        chunk_bytes: CHUNK_BYTES_MIN,
        files: vec![file],
    };
    assert!(matches!(Manifest::try_from(manifest), Err(WireError::Manifest(_))));
}

// ---- the schema stays what it is

#[test]
fn the_generated_code_is_of_this_schema() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let schema = std::fs::read(format!("{root}/proto/haypile/sync/v1/sync.proto")).unwrap();
    let code = include_str!("../src/wire/generated.rs");
    let digest = format!("XXH3 {:016x}.", xxhash_rust::xxh3::xxh3_64(&schema));
    assert!(code.lines().next().unwrap().ends_with(&digest), "run `make proto`");
}

/// Messages as version 1 writes them. They are never changed; new ones are added.
#[test]
fn frozen_messages_are_still_read() {
    let mut history = EpochHistory::new();
    history.begin(EpochId(0x0102), 0);
    history.begin(EpochId(u128::MAX), 90);
    let partition = PartitionId {
        table: "0".into(),
        number: 3,
    };
    let position = LocalPosition {
        end: Position::new(2, 100),
        durable: 95,
        applied: 100,
        history: history.clone(),
        poisoned: false,
    };
    let try_sync = TrySync {
        session: SessionId(0xABCD),
        attempt: AttemptId(7),
        partition: partition.clone(),
        position,
    };
    let proceed = TrySyncReply::Continue {
        from: 101,
        history: history.clone(),
    };
    let busy: Result<Accepted, Refusal> = Err(Refusal::NotReady(NotReady::Busy));
    let digests = vec![Digest(1), Digest(2)];
    let file = FileEntry {
        name: "000012.sst".into(),
        size: 5000,
        digests,
    };
    let manifest = Manifest::new(
        SnapshotId(9),
        Position::new(2, 100),
        history,
        CHUNK_BYTES_MIN,
        vec![file],
    )
    .unwrap();
    let batch = SourceFrame {
        end: SourceEnd {
            last: 120,
            unsent_bytes: 4096,
            clock_ms: 1_700_000_000_000,
        },
        ack_wanted: true,
        body: FrameBody::Batch(Batch {
            first: Position::new(2, 101),
            last: Position::new(2, 101),
            compression: Compression::None,
            entries_bytes: 3,
            entries: Bytes::from_static(b"abc"),
        }),
    };
    let manifest_reply: Result<&Manifest, CopyRefusal> = Ok(&manifest);
    let written = [
        ("try_sync", v1::TrySyncRequest::from(try_sync.clone()).encode_to_vec()),
        ("continue", v1::TrySyncReply::from(proceed.clone()).encode_to_vec()),
        ("busy", v1::MetaSyncReply::from(busy.clone()).encode_to_vec()),
        ("manifest", v1::CopyMetaReply::from(manifest_reply).encode_to_vec()),
        ("batch", v1::SourceFrame::from(batch.clone()).encode_to_vec()),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String = written
        .iter()
        .map(|(name, bytes)| format!("{name} {}\n", hex(bytes)))
        .collect();
    let frozen = include_str!("fixtures/wire-v1.txt");
    assert_eq!(text, frozen, "version 1 of the protocol has changed");

    let read = |name: &str| {
        let line = frozen
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap();
        let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        (0..line.len()).step_by(2).map(byte).collect::<Vec<_>>()
    };
    let request = v1::TrySyncRequest::decode(read("try_sync").as_slice()).unwrap();
    assert_eq!(TrySync::try_from(request).unwrap(), try_sync);
    let reply = v1::TrySyncReply::decode(read("continue").as_slice()).unwrap();
    assert_eq!(TrySyncReply::try_from(reply).unwrap(), proceed);
    let reply = v1::MetaSyncReply::decode(read("busy").as_slice()).unwrap();
    assert_eq!(<Result<Accepted, Refusal>>::try_from(reply).unwrap(), busy);
    let reply = v1::CopyMetaReply::decode(read("manifest").as_slice()).unwrap();
    assert_eq!(<Result<Manifest, CopyRefusal>>::try_from(reply).unwrap(), Ok(manifest));
    let frame = v1::SourceFrame::decode(read("batch").as_slice()).unwrap();
    assert_eq!(SourceFrame::try_from(frame).unwrap(), batch);
}
