//! The sync port's service: what followers ask, and what they get.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use haypile_sync::copy::CopyRefusal;
use haypile_sync::message::{
    CheckpointReason, CopyChunkRequest, CopyMetaRequest, FollowerFrame, HoldCheckpoint, Layout, MetaSync, Open,
    Refusal, TrySync, TrySyncReply,
};
use haypile_sync::source::{Acquired, Made, answer};
use haypile_sync::stream::Sender;
use haypile_sync::wire::WireError;
use haypile_sync::wire::v1::{self, sync_server};
use haypile_sync::{NodeId, NotReady, PartitionId, Purpose, SessionId, SnapshotId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::published::Outlet;
use super::sending::{FRAMES_MAX, Sending};
use super::snapshot::{self, Snapshot};
use crate::partitions::standalone_id;
use crate::replication::layout::{databases_and_format, layout};
use crate::replication::peers::PeerStream;
use crate::replication::transport::{PASSWORD_HEADER, Packer, Peer, USER_HEADER, blocking};
use crate::replication::{Replication, settings};
use crate::seldom::Seldom;

/// Answers followers.
#[derive(Clone)]
pub(in crate::replication) struct Service {
    replication: Arc<Replication>,
    complaints: Arc<Seldom>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl sync_server::Sync for Service {
    async fn meta_sync(&self, request: Request<v1::MetaSyncRequest>) -> Answer<v1::MetaSyncReply> {
        let address = address(&request);
        let reply = match self.authorize(&request) {
            Err(refusal) => Err(refusal),
            Ok(()) => match MetaSync::try_from(request.into_inner()) {
                Err(error) => Err(error.into()),
                Ok(request) => self.handshake(&request, address),
            },
        };
        if let Err(refusal) = &reply
            && let Some(unsaid) = self.complaints.tell()
        {
            tracing::warn!(%address, ?refusal, unsaid, "a replica is refused");
        }
        Ok(Response::new(reply.into()))
    }

    async fn heartbeat(&self, request: Request<v1::HeartbeatRequest>) -> Answer<v1::HeartbeatReply> {
        let replication = &self.replication;
        let request = self.authorized(request)?;
        let session = SessionId(request.session);
        let reply = match request.leaving {
            true => replication.source.left(replication.now(), session),
            false => replication.source.heard(replication.now(), session).map(drop),
        };
        Ok(Response::new(reply.into()))
    }

    async fn try_sync(&self, request: Request<v1::TrySyncRequest>) -> Answer<v1::TrySyncReply> {
        let reply = match TrySync::try_from(self.authorized(request)?) {
            Ok(request) => self.answer(&request).unwrap_or_else(TrySyncReply::Refused),
            Err(error) => TrySyncReply::Refused(error.into()),
        };
        Ok(Response::new(reply.into()))
    }

    async fn copy_meta(&self, request: Request<v1::CopyMetaRequest>) -> Answer<v1::CopyMetaReply> {
        let reply = match CopyMetaRequest::try_from(self.authorized(request)?) {
            Ok(request) => self.manifest(&request),
            Err(error) => Err(refused(&error)),
        };
        let reply = reply
            .as_ref()
            .map(|snapshot| &**snapshot.manifest())
            .map_err(Clone::clone);
        Ok(Response::new(reply.into()))
    }

    async fn copy_chunk(&self, request: Request<v1::CopyChunkRequest>) -> Answer<v1::CopyChunkReply> {
        let reply = match CopyChunkRequest::try_from(self.authorized(request)?) {
            Ok(request) => self.chunk(request).await,
            Err(error) => Err(refused(&error)),
        };
        Ok(Response::new(reply.into()))
    }

    async fn hold_checkpoint(&self, request: Request<v1::HoldCheckpointRequest>) -> Answer<v1::HoldCheckpointReply> {
        let reply = match HoldCheckpoint::try_from(self.authorized(request)?) {
            Ok(request) => self.hold(&request).await,
            Err(error) => Err(refused(&error)),
        };
        Ok(Response::new(reply.into()))
    }

    type PeerStream = PeerStream;
    type FollowStream = ReceiverStream<Result<v1::SourceFrame, Status>>;

    async fn peer(&self, request: Request<v1::PeerHello>) -> Answer<Self::PeerStream> {
        let asked = self.authorized(request)?.try_into()?;
        self.replication.peer_asks(&asked, &self.complaints)
    }

    async fn follow(&self, request: Request<Streaming<v1::FollowerFrame>>) -> Answer<Self::FollowStream> {
        let mut acks = self.authorized(request)?;
        let open = match acks.message().await?.map(FollowerFrame::try_from) {
            Some(Ok(FollowerFrame::Open(open))) => open,
            Some(Ok(FollowerFrame::Acks(_))) | None => {
                return Err(Status::invalid_argument("a stream begins with Open"));
            }
            Some(Err(error)) => return Err(Status::invalid_argument(error.to_string())),
        };
        let (frames, sent) = mpsc::channel(FRAMES_MAX);
        if let Err(refusal) = self.open_stream(&open, acks, frames.clone()) {
            let frame = super::sending::refused_frame(&self.replication, refusal);
            // The channel has room for one.
            let _ = frames.try_send(Ok(frame));
        }
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

fn refused(error: &WireError) -> CopyRefusal {
    CopyRefusal::Refused(error.to_string())
}

fn peer<T>(request: &Request<T>) -> Option<&Peer> {
    request.extensions().get()
}

fn address<T>(request: &Request<T>) -> IpAddr {
    let address = peer(request).and_then(|peer| peer.address);
    address
        .map(|address| address.ip().to_canonical())
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

impl Service {
    pub(in crate::replication) fn new(replication: Arc<Replication>) -> Self {
        Service {
            replication,
            complaints: Arc::default(),
        }
    }

    /// As for clients: by the password, or from the same machine. Who may come in may stay.
    fn authorize<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        self.check(request)?;
        if let Some(peer) = peer(request) {
            peer.admitted.admit();
        }
        Ok(())
    }

    /// The same for the requests that follow the first one, whose answers have no place for this refusal.
    fn authorized<T>(&self, request: Request<T>) -> Result<T, Status> {
        match self.authorize(&request) {
            Ok(()) => Ok(request.into_inner()),
            Err(Refusal::Unauthorized(cause)) => Err(Status::unauthenticated(cause)),
            Err(refusal) => Err(Status::internal(format!("{refusal:?}"))),
        }
    }

    fn check<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        let values = self.replication.parts.config.load();
        let given = |header| {
            request
                .metadata()
                .get_bin(header)
                .and_then(|value| value.to_bytes().ok())
        };
        let wrong = |cause: &str| Err(Refusal::Unauthorized(cause.into()));
        if values.tls_replication && !peer(request).is_some_and(|peer| peer.tls) {
            return wrong("replicas must speak TLS with this server: tls-replication");
        }
        let (user, password) = (given(USER_HEADER), given(PASSWORD_HEADER));
        let given = (user.as_deref(), password.as_deref());
        self.replication
            .parts
            .front
            .admit_replica(address(request), given)
            .or_else(wrong)
    }

    fn handshake(&self, request: &MetaSync, address: IpAddr) -> Result<haypile_sync::message::Accepted, Refusal> {
        let replication = &self.replication;
        let id = standalone_id();
        let layout = match &*self.replication.parts.partitions.of(&id) {
            Some(data) => layout(&id, data),
            None => return Err(Refusal::NotReady(NotReady::Loading)),
        };
        match (replication.is_in_group(), request.purpose) {
            (false, Purpose::Learner) => {
                let cause = "this server is no member of a replica group: group-members";
                return Err(Refusal::LayoutMismatch(cause.into()));
            }
            (true, Purpose::Replica | Purpose::Duplication | Purpose::Restore) => {
                let cause = "this server is a member of a replica group, and replicas cannot follow one yet";
                return Err(Refusal::LayoutMismatch(cause.into()));
            }
            _ => {}
        }
        self.check_circle(request.node)?;
        check_databases(&layout, &request.wanted)?;
        let identity = replication.source_identity(&self.replication.parts.config.load(), vec![layout]);
        let now = replication.now();
        let handshake = replication.source.meta_sync(now, request, &identity, address);
        if handshake.reply.is_ok() && !handshake.repeated {
            tracing::info!(%address, replica = %request.node, "a replica has connected");
        }
        handshake.reply
    }

    /// Two servers that follow each other would get nothing, and might copy each other's data for ever.
    fn check_circle(&self, follower: NodeId) -> Result<(), Refusal> {
        let replication = &self.replication;
        let follows = replication.roles.load().source().and_then(|_| replication.follows());
        match follows == Some(follower) {
            true => Err(Refusal::NotReady(NotReady::Circle)),
            false => Ok(()),
        }
    }

    fn check_partition(&self, id: &PartitionId) -> Result<(), Refusal> {
        match self.replication.parts.partitions.has(id) {
            true => Ok(()),
            false => Err(Refusal::LayoutMismatch(format!("there is no partition {id}"))),
        }
    }

    fn answer(&self, request: &TrySync) -> Result<TrySyncReply, Refusal> {
        let replication = &self.replication;
        let now = replication.now();
        let holder = replication.source.heard(now, request.session)?;
        self.check_partition(&request.partition)?;
        // Each may have connected before the other was.
        self.check_circle(holder.node)?;
        let data = self.replication.parts.partitions.of(&request.partition);
        let data = data.as_ref().ok_or(Refusal::NotReady(NotReady::Loading))?;
        let reply = match replication.is_in_group() {
            false => answer(&data.log_view(), &request.position),
            // Its group has told it that the log does not reach, and gives it the rest of the log afterwards.
            true => TrySyncReply::Checkpoint(CheckpointReason::LogCollected {
                wanted: request.position.end.index + 1,
                first: data.log_view().first,
            }),
        };
        let syncs = &replication.source.syncs;
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match &reply {
            TrySyncReply::Continue { from, .. } => {
                count(&syncs.continued);
                replication.source.lock().progress.pin(now, holder, *from);
                tracing::info!(replica = %holder.node, from, "a replica goes on");
            }
            TrySyncReply::Checkpoint(reason) => {
                count(&syncs.full);
                if request.position.end.index > 0 {
                    count(&syncs.not_continued);
                }
                tracing::info!(replica = %holder.node, %reason, "a replica needs a checkpoint");
            }
            TrySyncReply::Refused(refusal) => {
                tracing::info!(replica = %holder.node, ?refusal, "a replica cannot go on yet");
            }
        }
        Ok(reply)
    }

    fn manifest(&self, request: &CopyMetaRequest) -> Result<Arc<Snapshot>, CopyRefusal> {
        if !self.replication.parts.partitions.has(&request.partition) {
            let cause = format!("there is no partition {}", request.partition);
            return Err(CopyRefusal::Refused(cause));
        }
        let replication = &self.replication;
        let now = replication.now();
        let log_first = match &*self.replication.parts.partitions.of(&request.partition) {
            Some(data) => data.log_view().first,
            None => return Err(CopyRefusal::Busy),
        };
        let state = &mut *replication.source.lock();
        let holder = state
            .sessions
            .heard(now, request.session)
            .map_err(|_| CopyRefusal::UnknownSession)?
            .holder;
        if let Some(refusal) = state.not_made.take() {
            return Err(refusal);
        }
        match state
            .checkpoints
            .acquire(now, holder, request.reject, log_first, &mut state.random)
        {
            Acquired::Ready(id) => state.snapshots.get(&id).cloned().ok_or(CopyRefusal::Gone),
            Acquired::Busy => Err(CopyRefusal::Busy),
            Acquired::Make(id) => {
                let (replication, partition) = (self.replication.clone(), request.partition.clone());
                tokio::task::spawn_blocking(move || make(&replication, &partition, id));
                Err(CopyRefusal::Busy)
            }
        }
    }

    async fn chunk(&self, request: CopyChunkRequest) -> Result<Bytes, CopyRefusal> {
        let snapshot = self.held(request.session, request.snapshot)?;
        let read = tokio::task::spawn_blocking(move || snapshot.chunk(request.chunk));
        let chunk = read.await.map_err(|error| CopyRefusal::Refused(error.to_string()))?;
        if let Err(CopyRefusal::Corrupt(file)) = &chunk {
            tracing::error!(checkpoint = %request.snapshot, file, "a checkpoint for replicas is damaged");
            self.replication.source.lock().checkpoints.condemn(request.snapshot);
        }
        chunk
    }

    /// A checkpoint that this session's follower holds; it holds it for longer.
    fn held(&self, session: SessionId, snapshot: SnapshotId) -> Result<Arc<Snapshot>, CopyRefusal> {
        let replication = &self.replication;
        let now = replication.now();
        let state = &mut *replication.source.lock();
        let session = state.sessions.heard(now, session);
        let holder = session.map_err(|_| CopyRefusal::UnknownSession)?.holder;
        state.checkpoints.renew(now, holder, snapshot)?;
        state.snapshots.get(&snapshot).cloned().ok_or(CopyRefusal::Gone)
    }

    async fn hold(&self, request: &HoldCheckpoint) -> Result<(), CopyRefusal> {
        if request.renew {
            return self.held(request.session, request.snapshot).map(|_| ());
        }
        let replication = &self.replication;
        let now = replication.now();
        let gone = {
            let state = &mut *replication.source.lock();
            let session = state.sessions.heard(now, request.session);
            let holder = session.map_err(|_| CopyRefusal::UnknownSession)?.holder;
            if let Some(held) = state.snapshots.get(&request.snapshot) {
                state.progress.pin(now, holder, held.manifest().position().index + 1);
            }
            let gone = state.checkpoints.release(holder, request.snapshot);
            state.forget(gone)
        };
        let removed = tokio::task::spawn_blocking(move || snapshot::remove(&gone)).await;
        removed.map_err(|error| CopyRefusal::Refused(error.to_string()))
    }

    fn open_stream(
        &self,
        open: &Open,
        mut acks: Streaming<v1::FollowerFrame>,
        frames: mpsc::Sender<Result<v1::SourceFrame, Status>>,
    ) -> Result<(), Refusal> {
        let replication = &self.replication;
        self.check_partition(&open.partition)?;
        if replication.is_in_group() {
            let cause = "the members of a replica group get its log from their leader, by the stream for members";
            return Err(Refusal::LayoutMismatch(cause.into()));
        }
        let now = replication.now();
        let (stream, reader) = {
            let data = replication.parts.partitions.of(&open.partition);
            let data = data.as_ref().ok_or(Refusal::NotReady(NotReady::Loading))?;
            let theirs = replication.source.silence_timeout(now, open.session)?;
            let settings = settings::stream_settings(&replication.parts.config.load(), theirs);
            let sender = Sender::open(settings, &data.log_view(), open.from, open.epoch, now)?;
            let reader = data.readers().reader(open.from);
            let reader = reader.map_err(|error| Refusal::Internal(error.to_string()))?;
            (
                Sending::new(open.partition.clone(), sender, Outlet::new(data.readers())),
                reader,
            )
        };
        let holder = replication
            .source
            .stream_opened(now, open.session, open.from, &stream)?;
        if let Err(error) = stream.start(replication, holder, reader, Packer::new(open.compression), frames) {
            replication.source.stream_closed(now, holder, &stream);
            return Err(Refusal::Internal(error.to_string()));
        }
        let replication = Arc::downgrade(replication);
        tokio::spawn(async move {
            while let Ok(Some(frame)) = acks.message().await {
                let Some(replication) = replication.upgrade() else {
                    return;
                };
                let now = replication.now();
                let outcome = match FollowerFrame::try_from(frame) {
                    Ok(FollowerFrame::Acks(acks)) => stream.acked(now, acks).map(|()| acks),
                    Ok(FollowerFrame::Open(_)) => break,
                    Err(error) => Err(error.into()),
                };
                match outcome {
                    Ok(acks) => {
                        replication.source.acked(now, holder, &stream, acks);
                        if !replication.waits.is_empty() {
                            // It may have to wait for the writer.
                            blocking(|| {
                                replication
                                    .waits
                                    .acked(&replication.source, &replication.parts.partitions)
                            })
                            .await;
                        }
                    }
                    Err(failure) => {
                        tracing::warn!(replica = %holder.node, %failure, "a replica has acknowledged nonsense");
                        break;
                    }
                }
            }
            stream.close(Refusal::UnknownSession);
        });
        Ok(())
    }
}

/// Says in words of the configuration what [`Layout`] has as a number.
fn check_databases(ours: &Layout, wanted: &[Layout]) -> Result<(), Refusal> {
    let (here, format) = databases_and_format(ours);
    for wanted in wanted.iter().filter(|wanted| wanted.partition == ours.partition) {
        let (there, other_format) = databases_and_format(wanted);
        if here != there && format == other_format {
            let fewer = if here < there { "the primary" } else { "the replica" };
            return Err(Refusal::LayoutMismatch(format!(
                "the primary has {here} databases and the replica {there}: restart {fewer} with --databases {} (a data directory never gets fewer than it had)",
                here.max(there)
            )));
        }
    }
    Ok(())
}

/// Makes a checkpoint that somebody waits for.
fn make(replication: &Replication, partition: &PartitionId, id: SnapshotId) {
    let made = Snapshot::make(replication, partition, id);
    let now = replication.now();
    let unwanted = {
        let state = &mut *replication.source.lock();
        match made {
            Ok(snapshot) => {
                let index = snapshot.manifest().position().index;
                let dir = snapshot.dir().to_owned();
                match state.checkpoints.made(now, id, Some(Made { index })) {
                    true => {
                        state.snapshots.insert(id, Arc::new(snapshot));
                        None
                    }
                    false => Some(dir),
                }
            }
            Err(refusal) => {
                state.checkpoints.made(now, id, None);
                state.not_made = Some(refusal).filter(|refusal| *refusal != CopyRefusal::Busy);
                None
            }
        }
    };
    if let Some(dir) = unwanted {
        snapshot::remove(&[dir]);
    }
}
