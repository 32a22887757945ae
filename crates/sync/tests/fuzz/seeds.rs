//! Valid messages to begin with, of the sort that fits the logs which the targets have.

use std::time::Duration;

use bytes::Bytes;
use haypile_sync::copy::{CHUNK_BYTES_MIN, ChunkRef, CopyRefusal, Digest, FileEntry, Manifest};
use haypile_sync::message::{
    Accepted, Batch, CheckpointReason, Closed, Compression, CopyChunkRequest, CopyMetaRequest, FollowerFrame,
    FrameBody, HoldCheckpoint, LocalPosition, Message as Published, MetaSync, Open, Refusal, SourceEnd, SourceFrame,
    TrySync, TrySyncReply,
};
use haypile_sync::source::Acks;
use haypile_sync::wire::v1;
use haypile_sync::{AttemptId, Epoch, EpochHistory, EpochId, Incarnation, NodeId, Purpose, SessionId, SnapshotId};
use haypile_types::Position;
use prost::Message;

use super::messages::{history, layout, partition};

fn seed(kind: u8, message: impl Message) -> Vec<u8> {
    [&[kind], message.encode_to_vec().as_slice()].concat()
}

/// Frames with their lengths before them, after a byte that chooses the log.
fn frames(kind: u8, choice: u8, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![kind, choice];
    for frame in frames {
        bytes.push(frame.len() as u8);
        bytes.extend_from_slice(frame);
    }
    bytes
}

fn handshake() -> MetaSync {
    MetaSync {
        version_min: 1,
        version_max: 1,
        node: NodeId(1),
        incarnation: Incarnation(2),
        attempt: AttemptId(1),
        purpose: Purpose::Replica,
        announce_host: Some("db.example.org".into()),
        announce_port: 6379,
        wanted: vec![layout()],
        silence_timeout: Duration::from_secs(10),
    }
}

fn accepted() -> Accepted {
    Accepted {
        node: NodeId(2),
        incarnation: Incarnation(1),
        session: SessionId(9),
        version: 1,
        partitions: vec![layout()],
        session_timeout: Duration::from_secs(10),
    }
}

fn at(index: u64, history: EpochHistory) -> LocalPosition {
    LocalPosition {
        end: history.position_of(index).unwrap_or_default(),
        durable: index,
        applied: index,
        history,
        poisoned: false,
    }
}

fn source_frame(body: FrameBody) -> Vec<u8> {
    let end = SourceEnd {
        last: 12,
        unsent_bytes: 100,
        clock_ms: 5,
    };
    let frame = SourceFrame {
        end,
        ack_wanted: true,
        body,
    };
    v1::SourceFrame::from(frame).encode_to_vec()
}

fn follower_frame(frame: FollowerFrame) -> Vec<u8> {
    v1::FollowerFrame::from(frame).encode_to_vec()
}

fn streams() -> Vec<Vec<u8>> {
    let batch = |first, last| {
        source_frame(FrameBody::Batch(Batch {
            first,
            last,
            compression: Compression::None,
            entries_bytes: 28,
            entries: Bytes::from_static(&[7; 28]),
        }))
    };
    let (one, two) = (|index| Position::new(1, index), |index| Position::new(2, index));
    let message = Published {
        after: 8,
        sharded: false,
        channel: "c".into(),
        payload: "m".into(),
        within: Some(3),
    };
    let epoch = FrameBody::Epoch {
        epoch: Epoch {
            term: 2,
            id: EpochId(2),
            first_index: 9,
        },
        after: EpochId(1),
    };
    let whole = [
        batch(one(6), one(8)),
        source_frame(FrameBody::Published(vec![message])),
        source_frame(epoch),
        batch(two(9), two(9)),
        source_frame(FrameBody::Keepalive { sent: 9 }),
        source_frame(FrameBody::Closed(Closed::OutOfOrder("x".into()))),
    ];
    let open = |from, epoch| {
        follower_frame(FollowerFrame::Open(Open {
            session: SessionId(9),
            attempt: AttemptId(1),
            partition: partition(),
            from,
            epoch: EpochId(epoch),
            compression: Compression::Zstd,
        }))
    };
    let acks = |durable, applied| follower_frame(FollowerFrame::Acks(Acks { durable, applied }));
    vec![
        frames(10, 1, &whole),
        frames(11, 2, &[open(11, 1)]),
        frames(11, 3, &[open(4, 1), acks(3, 3), acks(4, 4), acks(7, 7), acks(9, 12)]),
        frames(11, 4, &[open(6, 2), acks(6, 6)]),
    ]
}

/// One of each kind at least.
pub fn messages() -> Vec<Vec<u8>> {
    let try_sync = |position| {
        seed(
            2,
            v1::TrySyncRequest::from(TrySync {
                session: SessionId(9),
                attempt: AttemptId(1),
                partition: partition(),
                position,
            }),
        )
    };
    let reply = |reply| seed(3, v1::TrySyncReply::from(reply));
    let snapshot = SnapshotId(7);
    let mut all = vec![
        seed(0, v1::MetaSyncRequest::from(handshake())),
        seed(1, v1::MetaSyncReply::from(Ok(accepted()))),
        seed(
            1,
            v1::MetaSyncReply::from(Err(Refusal::ProtocolVersion { min: 2, max: 3 })),
        ),
        try_sync(at(0, EpochHistory::new())),
        try_sync(at(10, history(&[1]))),
        try_sync(at(7, history(&[1, 5, 5]))),
        reply(TrySyncReply::Continue {
            from: 11,
            history: history(&[1]),
        }),
        reply(TrySyncReply::Continue {
            from: 1,
            history: history(&[1]),
        }),
        reply(TrySyncReply::Checkpoint(CheckpointReason::Diverged {
            common: Position::new(1, 4),
            lost_first: Position::new(2, 5),
            lost_last: Position::new(2, 10),
        })),
        seed(4, v1::HeartbeatReply::from(Err(Refusal::UnknownSession))),
        seed(
            5,
            v1::CopyMetaRequest::from(CopyMetaRequest {
                session: SessionId(9),
                partition: partition(),
                reject: Some(snapshot),
            }),
        ),
        seed(
            6,
            v1::CopyChunkRequest::from(CopyChunkRequest {
                session: SessionId(9),
                partition: partition(),
                snapshot,
                chunk: ChunkRef { file: 1, chunk: 2 },
            }),
        ),
        seed(
            7,
            v1::HoldCheckpointRequest::from(HoldCheckpoint {
                session: SessionId(9),
                partition: partition(),
                snapshot,
                renew: true,
            }),
        ),
        seed(8, v1::CopyChunkReply::from(Ok(Bytes::from_static(b"data")))),
        seed(9, v1::HoldCheckpointReply::from(Err(CopyRefusal::Gone))),
    ];
    all.extend(streams());
    all
}

/// Manifests after the bytes that are the copy's fate.
pub fn manifests() -> Vec<Vec<u8>> {
    let manifest = |first_indexes: &[u64], index, sizes: &[u64]| {
        let file = |(n, size): (usize, &u64)| FileEntry {
            name: format!("{n:06}.sst"),
            size: *size,
            digests: vec![Digest(n as u128); size.div_ceil(CHUNK_BYTES_MIN.into()) as usize],
        };
        let files = sizes.iter().enumerate().map(file).collect();
        let position = Position::new(first_indexes.len() as u64, index);
        Manifest::new(SnapshotId(7), position, history(first_indexes), CHUNK_BYTES_MIN, files).unwrap()
    };
    let manifests = [
        manifest(&[1], 1, &[]),
        manifest(&[1], 10, &[1, 0, 4096, 4097, 50_000]),
        manifest(&[1, 5, 9], 9, &[12_288; 4]),
    ];
    let fates = [[0; 8], [3, 0, 6, 7, 0, 6, 6, 0], [255; 8]];
    let seeds = manifests.iter().flat_map(|manifest| {
        let bytes = v1::Manifest::from(manifest).encode_to_vec();
        fates.map(|fate| [&fate, bytes.as_slice()].concat())
    });
    seeds.collect()
}
