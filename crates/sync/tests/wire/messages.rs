//! Any messages that there may be.

use std::fmt::Debug;
use std::time::Duration;

use haypile_sync::copy::{CHUNK_BYTES_MIN, CopyRefusal, Digest, FileEntry, Manifest};
use haypile_sync::message::{
    Accepted, Batch, CheckpointReason, Closed, Compression, FollowerFrame, FrameBody, Layout, LocalPosition,
    Message as Published, MetaSync, Open, Refusal, SourceEnd, SourceFrame, TrySync, TrySyncReply,
};
use haypile_sync::source::Acks;
use haypile_sync::{
    AttemptId, Epoch, EpochHistory, EpochId, Incarnation, NodeId, NotReady, POSITION_MAX, PartitionId, Purpose,
    SessionId, SnapshotId,
};
use haypile_types::Position;
use proptest::prelude::*;

pub fn partition() -> impl Strategy<Value = PartitionId> {
    (".{0,8}", any::<u32>()).prop_map(|(table, number)| PartitionId { table, number })
}

pub fn layout() -> impl Strategy<Value = Layout> {
    (partition(), any::<u16>(), any::<u16>(), any::<u32>()).prop_map(|(partition, slot_first, slot_last, format)| {
        Layout {
            partition,
            slot_first,
            slot_last,
            format,
        }
    })
}

pub fn index() -> impl Strategy<Value = u64> {
    0..=POSITION_MAX
}

pub fn position() -> impl Strategy<Value = Position> {
    (index(), index()).prop_map(|(term, index)| Position::new(term, index))
}

pub fn epoch() -> impl Strategy<Value = Epoch> {
    (index(), any::<u128>(), index()).prop_map(|(term, id, first_index)| Epoch {
        term,
        id: EpochId(id),
        first_index,
    })
}

pub fn history() -> impl Strategy<Value = EpochHistory> {
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
pub fn text() -> impl Strategy<Value = String> {
    "\\PC{0,100}"
}

pub fn refusal() -> impl Strategy<Value = Refusal> {
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

pub fn copy_refusal() -> impl Strategy<Value = CopyRefusal> {
    prop_oneof![
        Just(CopyRefusal::Busy),
        Just(CopyRefusal::Gone),
        Just(CopyRefusal::UnknownSession),
        text().prop_map(CopyRefusal::Corrupt),
        text().prop_map(CopyRefusal::NoSpace),
        text().prop_map(CopyRefusal::Refused),
    ]
}

pub fn meta_sync() -> impl Strategy<Value = MetaSync> {
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

pub fn accepted() -> impl Strategy<Value = Accepted> {
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

pub fn result<T: Debug + Clone, E: Debug + Clone>(
    ok: impl Strategy<Value = T>,
    error: impl Strategy<Value = E>,
) -> impl Strategy<Value = Result<T, E>> {
    (ok, error, any::<bool>()).prop_map(|(ok, error, good)| if good { Ok(ok) } else { Err(error) })
}

pub fn try_sync() -> impl Strategy<Value = TrySync> {
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

pub fn try_sync_reply() -> impl Strategy<Value = TrySyncReply> {
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

pub fn manifest() -> impl Strategy<Value = Manifest> {
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

pub fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Zstd)]
}

pub fn published() -> impl Strategy<Value = Published> {
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

pub fn source_frame() -> impl Strategy<Value = SourceFrame> {
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

pub fn follower_frame() -> impl Strategy<Value = FollowerFrame> {
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
