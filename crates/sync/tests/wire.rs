//! The messages' encoding: what goes out comes back the same, and nothing that was not set comes back as an answer.

#![allow(clippy::unwrap_used)]

#[path = "wire/messages.rs"]
mod messages;

use bytes::Bytes;
use haypile_sync::copy::{CHUNK_BYTES_MIN, ChunkRef, CopyRefusal, Digest, FileEntry, Manifest};
use haypile_sync::message::{
    Accepted, Batch, CheckpointReason, Closed, Compression, CopyChunkRequest, CopyMetaRequest, FollowerFrame,
    FrameBody, HoldCheckpoint, LocalPosition, MetaSync, Refusal, SourceEnd, SourceFrame, TrySync, TrySyncReply,
};
use haypile_sync::wire::{WireError, v1};
use haypile_sync::{AttemptId, EpochHistory, EpochId, NotReady, PartitionId, SessionId, SnapshotId};
use haypile_types::Position;
use proptest::prelude::*;
use prost::Message;

use messages::*;

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
