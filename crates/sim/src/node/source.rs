//! The source's side of a simulated node.

use std::collections::BTreeMap;

use haypile_sync::copy::CopyRefusal;
use haypile_sync::message::{Refusal, TrySyncReply};
use haypile_sync::source::{
    Acquired, Checkpoints, Holder, Made, Progress, SessionInfo, Sessions, SourceIdentity, answer,
};
use haypile_sync::stream::{Next, Sender};
use haypile_sync::{ErrorKind, Failure, Incarnation, NodeId, SessionId, SnapshotId, Time};

use super::{Context, Effect, LocalEvent, Note, Peer, layout};
use crate::checkpoint::Snapshot;
use crate::disk::Disk;
use crate::message::{CopyId, Frame, Message, StreamId};

const ENTRY_BYTES: u64 = 64;

/// The source's side of a process.
pub struct SourceSide {
    identity: SourceIdentity,
    sessions: Sessions,
    checkpoints: Checkpoints,
    /// What the checkpoints consist of.
    pub snapshots: BTreeMap<SnapshotId, Snapshot>,
    progress: Progress,
    streams: BTreeMap<StreamId, Stream>,
}

struct Stream {
    sender: Sender,
    peer: Peer,
    holder: Holder,
    /// When the sender has something to do at the latest.
    wake_at: Time,
}

impl SourceSide {
    pub(super) fn new(node: NodeId, incarnation: Incarnation, cx: &Context<'_>) -> Self {
        let times = cx.times;
        SourceSide {
            identity: SourceIdentity {
                node,
                incarnation,
                partitions: vec![layout()],
                session_timeout: times.session_timeout,
            },
            sessions: Sessions::new(),
            checkpoints: Checkpoints::new(times.checkpoints.clone()),
            snapshots: BTreeMap::new(),
            progress: Progress::new(times.pins.clone()),
            streams: BTreeMap::new(),
        }
    }

    pub(super) fn receive(&mut self, disk: &mut Disk, cx: &mut Context<'_>, from: Peer, message: Message) {
        match message {
            Message::Dial { attempt } => cx.send(from, Message::Dialed { attempt }),
            Message::MetaSync(request) => {
                let handshake = self.sessions.meta_sync(cx.now, &request, &self.identity, cx.rng);
                if let Some(replaced) = handshake.replaced {
                    self.session_ended(cx, &replaced, ErrorKind::SessionLost);
                }
                let (attempt, reply) = (request.attempt, handshake.reply);
                cx.send(from, Message::MetaSyncReply { attempt, reply });
            }
            Message::Heartbeat { attempt, session } => {
                let reply = self.heard(cx.now, session).map(|_| ());
                cx.send(from, Message::HeartbeatReply { attempt, reply });
            }
            Message::Goodbye { session } => {
                if let Some(session) = self.sessions.close(session) {
                    self.session_ended(cx, &session, ErrorKind::SessionLost);
                }
            }
            Message::TrySync(request) => {
                let reply = match self.heard(cx.now, request.session) {
                    Ok(holder) => self.try_sync(disk, cx, from, holder, &request.position),
                    Err(refusal) => TrySyncReply::Refused(refusal),
                };
                cx.send(
                    from,
                    Message::TrySyncReply {
                        attempt: request.attempt,
                        reply,
                    },
                );
            }
            Message::AskManifest { copy, request, reject } => {
                let reply = self.manifest(disk, cx, copy, reject);
                cx.send(from, Message::Manifest { copy, request, reply });
            }
            Message::FetchChunk {
                copy,
                fetch,
                snapshot,
                chunk,
            } => {
                let reply = self.chunk(cx, copy, snapshot, chunk);
                cx.send(from, Message::Chunk { copy, fetch, reply });
            }
            Message::Renew { session, snapshot } => {
                if let Ok(holder) = self.heard(cx.now, session) {
                    let _ = self.checkpoints.renew(cx.now, holder, snapshot);
                }
            }
            Message::Release { session, snapshot } => self.release(cx, session, snapshot),
            Message::OpenStream {
                stream,
                from: first,
                epoch,
                ..
            } => {
                if let Err(refusal) = self.open_stream(disk, cx, from, stream, first, epoch) {
                    cx.send(
                        from,
                        Message::Closed {
                            stream,
                            failure: refusal.into(),
                        },
                    );
                }
            }
            Message::Acks { stream, acks } => {
                let Some(open) = self.streams.get_mut(&stream) else {
                    return;
                };
                let _ = self.sessions.heard(cx.now, stream.session);
                match open.sender.acked(cx.now, acks) {
                    Ok(()) => {
                        self.progress.acked(cx.now, open.holder, acks);
                        let (durable, applied) = (acks.durable, acks.applied);
                        cx.note(Note::Acked {
                            follower: from,
                            stream,
                            durable,
                            applied,
                        });
                    }
                    Err(failure) => panic!("a follower acknowledged what it was not sent: {failure}"),
                }
            }
            other => panic!("not for a source: {other:?}"),
        }
    }

    fn heard(&mut self, now: Time, session: SessionId) -> Result<Holder, Refusal> {
        self.sessions.heard(now, session).map(|session| session.holder)
    }

    fn try_sync(
        &mut self,
        disk: &Disk,
        cx: &mut Context<'_>,
        follower: Peer,
        holder: Holder,
        position: &haypile_sync::LocalPosition,
    ) -> TrySyncReply {
        let reply = answer(&disk.view(), position);
        if let TrySyncReply::Continue { from, .. } = &reply {
            self.progress.pin(cx.now, holder, *from);
        }
        cx.note(Note::Answered {
            follower,
            position: position.clone(),
            reply: reply.clone(),
        });
        reply
    }

    fn manifest(
        &mut self,
        disk: &Disk,
        cx: &mut Context<'_>,
        copy: CopyId,
        reject: Option<SnapshotId>,
    ) -> Result<std::sync::Arc<haypile_sync::copy::Manifest>, CopyRefusal> {
        let holder = self
            .heard(cx.now, copy.session)
            .map_err(|_| CopyRefusal::UnknownSession)?;
        match self
            .checkpoints
            .acquire(cx.now, holder, reject, disk.view().first, cx.rng)
        {
            Acquired::Ready(id) => Ok(self.snapshots[&id].manifest.clone()),
            Acquired::Busy => Err(CopyRefusal::Busy),
            Acquired::Make(id) => {
                let takes = cx.rng.millis(5, 400);
                cx.effects.push(Effect::After(takes, LocalEvent::CheckpointMade(id)));
                Err(CopyRefusal::Busy)
            }
        }
    }

    pub(super) fn checkpoint_made(&mut self, disk: &Disk, cx: &mut Context<'_>, id: SnapshotId) {
        let failed = cx.rng.chance(50);
        let snapshot = Snapshot::make(id, disk);
        let made = Made {
            index: snapshot.manifest.position().index,
        };
        if self.checkpoints.made(cx.now, id, (!failed).then_some(made)) {
            self.snapshots.insert(id, snapshot);
        }
    }

    fn chunk(
        &mut self,
        cx: &mut Context<'_>,
        copy: CopyId,
        id: SnapshotId,
        at: haypile_sync::copy::ChunkRef,
    ) -> Result<Vec<u8>, CopyRefusal> {
        let holder = self
            .heard(cx.now, copy.session)
            .map_err(|_| CopyRefusal::UnknownSession)?;
        self.checkpoints.renew(cx.now, holder, id)?;
        let snapshot = &self.snapshots[&id];
        let bytes = snapshot
            .chunk(at)
            .ok_or_else(|| CopyRefusal::Refused("no such chunk".into()))?;
        if !snapshot.manifest.verify(at, bytes) {
            self.checkpoints.condemn(id);
            return Err(CopyRefusal::Corrupt(
                snapshot.manifest.files()[at.file as usize].name.clone(),
            ));
        }
        Ok(bytes.to_vec())
    }

    fn release(&mut self, cx: &mut Context<'_>, session: SessionId, snapshot: SnapshotId) {
        let Ok(holder) = self.heard(cx.now, session) else {
            return;
        };
        // The checkpoint kept the log from its position on; from here on a pin does.
        if let Some(held) = self.snapshots.get(&snapshot) {
            self.progress.pin(cx.now, holder, held.manifest.position().index + 1);
        }
        let gone = self.checkpoints.release(holder, snapshot);
        self.remove(gone);
    }

    fn remove(&mut self, gone: impl IntoIterator<Item = SnapshotId>) {
        for id in gone {
            self.snapshots.remove(&id);
        }
    }

    fn open_stream(
        &mut self,
        disk: &Disk,
        cx: &mut Context<'_>,
        peer: Peer,
        stream: StreamId,
        from: u64,
        epoch: haypile_sync::EpochId,
    ) -> Result<(), Refusal> {
        let holder = self.heard(cx.now, stream.session)?;
        if self.streams.contains_key(&stream) {
            return Ok(()); // a doubled request
        }
        let sender = Sender::open(cx.times.stream.clone(), &disk.view(), from, epoch, cx.now)?;
        // A follower has one stream; a new one takes the place of the old one.
        self.streams.retain(|_, open| open.holder != holder);
        self.progress.stream_opened(cx.now, holder, from);
        self.streams.insert(
            stream,
            Stream {
                sender,
                peer,
                holder,
                wake_at: cx.now,
            },
        );
        Ok(())
    }

    /// Sends what can be sent on all streams.
    pub(super) fn pump(&mut self, disk: &Disk, cx: &mut Context<'_>) {
        let mut ended = Vec::new();
        for (id, stream) in &mut self.streams {
            if let Err(failure) = stream.pump(*id, disk, cx) {
                ended.push((*id, failure));
            }
        }
        for (stream, failure) in ended {
            if let Some(open) = self.streams.remove(&stream) {
                self.progress.stream_closed(cx.now, open.holder);
                cx.send(open.peer, Message::Closed { stream, failure });
            }
        }
    }

    pub(super) fn closed(&mut self, now: Time, stream: StreamId) {
        if let Some(open) = self.streams.remove(&stream) {
            self.progress.stream_closed(now, open.holder);
        }
    }

    fn session_ended(&mut self, cx: &mut Context<'_>, session: &SessionInfo, kind: ErrorKind) {
        let streams: Vec<_> = self
            .streams
            .keys()
            .filter(|id| id.session == session.id)
            .copied()
            .collect();
        for stream in streams {
            if let Some(open) = self.streams.remove(&stream) {
                self.progress.stream_closed(cx.now, open.holder);
                let failure = Failure::new(kind.clone(), "the session is over");
                cx.send(open.peer, Message::Closed { stream, failure });
            }
        }
    }

    /// A checkpoint was installed here: what followers were told does not hold any more.
    pub(super) fn data_replaced(&mut self, cx: &mut Context<'_>) {
        let sessions: Vec<_> = self.sessions.iter().map(|session| session.id).collect();
        for id in sessions {
            if let Some(session) = self.sessions.close(id) {
                self.session_ended(cx, &session, ErrorKind::SessionLost);
            }
        }
        let gone = self.checkpoints.clear();
        self.remove(gone);
        self.progress = Progress::new(cx.times.pins.clone());
    }

    pub(super) fn tick(&mut self, _disk: &Disk, cx: &mut Context<'_>) {
        for session in self.sessions.expire(cx.now, cx.times.session_timeout) {
            self.session_ended(cx, &session, ErrorKind::SessionLost);
        }
        let gone = self.checkpoints.expire(cx.now);
        self.remove(gone);
    }

    pub(super) fn log_needed_from(&mut self, now: Time, first_kept: u64) -> Option<u64> {
        let (pinned, _dropped) = self.progress.retain_from(now, first_kept);
        pinned.into_iter().chain(self.checkpoints.log_needed_from()).min()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let sessions = self.sessions.deadline(self.identity.session_timeout);
        let streams = self.streams.values().map(|stream| stream.wake_at);
        streams.chain(sessions).chain(self.checkpoints.deadline()).min()
    }

    /// Whether checkpoints on the disk and checkpoints in the registry are the same.
    pub fn check(&self) {
        let known: Vec<_> = self.checkpoints.iter().map(|(id, _)| id).collect();
        assert_eq!(known, self.snapshots.keys().copied().collect::<Vec<_>>());
    }
}

impl Stream {
    fn pump(&mut self, id: StreamId, disk: &Disk, cx: &mut Context<'_>) -> Result<(), Failure> {
        let last = disk.last();
        loop {
            let frame = match self.sender.next(cx.now, last, &disk.history, false) {
                Next::Announce { epoch, after } => {
                    self.sender.announced(cx.now, epoch.id);
                    Frame::Epoch { epoch, after }
                }
                Next::Read { from, to, bytes } => {
                    if from < disk.log_first {
                        let cause = format!("{from} is wanted, the log starts at {}", disk.log_first);
                        return Err(Failure::new(ErrorKind::LogCollected, cause));
                    }
                    let to = to.min(from + (bytes / ENTRY_BYTES).max(1) - 1);
                    let entries: Vec<_> = (from..=to).map(|index| disk.entry(index)).collect();
                    self.sender.sent(cx.now, to, entries.len() as u64 * ENTRY_BYTES);
                    Frame::Batch { first: from, entries }
                }
                Next::Keepalive { sent } => {
                    self.sender.kept_alive(cx.now);
                    Frame::Keepalive { sent }
                }
                Next::Wait(at) => {
                    self.wake_at = at;
                    return Ok(());
                }
                Next::End(failure) => return Err(failure),
            };
            cx.send(
                self.peer,
                Message::Frame {
                    stream: id,
                    last,
                    frame,
                },
            );
        }
    }
}
