//! The source's side: who follows, what they have, which checkpoints they hold.

mod pins;
mod published;
mod sending;
mod service;
mod snapshot;
mod waits;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use haypile_sync::copy::CopyRefusal;
use haypile_sync::message::{MetaSync, Refusal};
use haypile_sync::source::{
    Acks, CheckpointSettings, Checkpoints, Handshake, Holder, PinSettings, Progress, SessionInfo, Sessions,
    SourceIdentity,
};
use haypile_sync::{NodeId, SessionId, SnapshotId, Time};
use parking_lot::Mutex;

pub use pins::{Pin, Who};
pub use published::Published;
pub(super) use service::Service;
pub use waits::{Wait, Waits};

use crate::random::SplitMix64;
use sending::Sending;
use snapshot::Snapshot;

/// A replica that is gone holds its checkpoint for so many times repl-timeout: longer than a restart takes.
const LEASE_TIMEOUTS: u32 = 12;

/// The source's bookkeeping. One lock: everything under it is short and does no I/O.
pub struct Source {
    state: Mutex<State>,
    /// How replicas have begun.
    pub syncs: Syncs,
    /// Messages of pub/sub for those who follow.
    pub published: Published,
    /// How often somebody's log was collected although it was needed.
    pub(super) left_behind: AtomicU64,
}

/// How often replicas have asked how to begin, by the answer.
#[derive(Default)]
pub struct Syncs {
    /// With a checkpoint.
    pub full: AtomicU64,
    /// Where they were.
    pub continued: AtomicU64,
    /// With a checkpoint, although they had data.
    pub not_continued: AtomicU64,
}

/// See [`Source`].
pub(super) struct State {
    pub(super) sessions: Sessions,
    pub(super) checkpoints: Checkpoints,
    /// What the checkpoints consist of.
    pub(super) snapshots: HashMap<SnapshotId, Arc<Snapshot>>,
    /// Why the last checkpoint could not be made: for the next who asks.
    pub(super) not_made: Option<CopyRefusal>,
    pub(super) progress: Progress,
    /// The open stream of each follower.
    streams: HashMap<Holder, (SessionId, Arc<Sending>)>,
    /// Where each session comes from.
    addresses: HashMap<SessionId, IpAddr>,
    pub(super) random: SplitMix64,
}

/// A replica as INFO and ROLE show it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its host.
    pub host: String,
    /// Its port for clients.
    pub port: u16,
    /// `online`, `send_bulk` or `wait_bgsave`, as in Redis.
    pub state: &'static str,
    /// What it has confirmed.
    pub acks: Acks,
    /// Time since it was heard.
    pub heard: Duration,
    /// Which node it is.
    pub node: NodeId,
}

/// Removes the checkpoints that an earlier run of the process has left.
pub(super) fn remove_left_over(data_dir: &Path) {
    let left_over = snapshot::all(data_dir);
    if left_over.exists() {
        snapshot::remove(&[left_over]);
    }
}

impl Source {
    /// Nobody follows.
    pub(super) fn new(session_timeout: Duration) -> Self {
        Source {
            state: Mutex::new(State {
                sessions: Sessions::new(),
                checkpoints: Checkpoints::new(checkpoint_settings(session_timeout)),
                snapshots: HashMap::new(),
                not_made: None,
                progress: Progress::new(PinSettings::default()),
                streams: HashMap::new(),
                addresses: HashMap::new(),
                random: SplitMix64::from_system(),
            }),
            syncs: Syncs::default(),
            published: Published::default(),
            left_behind: AtomicU64::new(0),
        }
    }

    /// The bookkeeping itself.
    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Answers a handshake that comes from `address`.
    pub(super) fn meta_sync(
        &self,
        now: Time,
        request: &MetaSync,
        source: &SourceIdentity,
        address: IpAddr,
    ) -> Handshake {
        let state = &mut *self.lock();
        let handshake = state.sessions.meta_sync(now, request, source, &mut state.random);
        if let Some(replaced) = &handshake.replaced {
            tracing::debug!(session = %replaced.id, follower = %request.node, "a session is replaced by a new handshake");
            state.end_session(now, replaced);
        }
        if let Ok(accepted) = &handshake.reply {
            state.addresses.insert(accepted.session, address);
        }
        handshake
    }

    /// A request within a session: who it is.
    pub(super) fn heard(&self, now: Time, session: SessionId) -> Result<Holder, Refusal> {
        self.lock().sessions.heard(now, session).map(|info| info.holder)
    }

    /// A follower takes leave.
    pub(super) fn left(&self, now: Time, session: SessionId) -> Result<(), Refusal> {
        let state = &mut *self.lock();
        let session = state.sessions.close(session).ok_or(Refusal::UnknownSession)?;
        tracing::info!(follower = %session.holder.node, "a replica has taken leave");
        state.end_session(now, &session);
        Ok(())
    }

    /// How long a follower waits for a sign of life.
    pub(super) fn silence_timeout(&self, now: Time, session: SessionId) -> Result<Duration, Refusal> {
        let state = &mut *self.lock();
        state
            .sessions
            .heard(now, session)
            .map(|info| info.request.silence_timeout)
    }

    /// A follower's stream begins. A new one takes the place of the old one.
    pub(super) fn stream_opened(
        &self,
        now: Time,
        session: SessionId,
        from: u64,
        stream: &Arc<Sending>,
    ) -> Result<Holder, Refusal> {
        let state = &mut *self.lock();
        let holder = state.sessions.heard(now, session)?.holder;
        self.published.add(&stream.outlet);
        state.progress.stream_opened(now, holder, from);
        if let Some((_, old)) = state.streams.insert(holder, (session, stream.clone())) {
            old.close(Refusal::UnknownSession);
        }
        Ok(holder)
    }

    /// It is over.
    pub(super) fn stream_closed(&self, now: Time, holder: Holder, stream: &Arc<Sending>) {
        self.published.remove(&stream.outlet);
        let state = &mut *self.lock();
        if state
            .streams
            .get(&holder)
            .is_some_and(|(_, open)| Arc::ptr_eq(open, stream))
        {
            if let Some((session, _)) = state.streams.remove(&holder) {
                state.sessions.broken(session);
            }
            state.progress.stream_closed(now, holder);
        }
    }

    /// A follower has confirmed what came on this stream.
    pub(super) fn acked(&self, now: Time, holder: Holder, stream: &Arc<Sending>, acks: Acks) {
        let state = &mut *self.lock();
        if let Some((session, open)) = state.streams.get(&holder)
            && Arc::ptr_eq(open, stream)
        {
            let _ = state.sessions.heard(now, *session);
            state.progress.acked(now, holder, acks);
        }
    }

    /// A client waits for replicas: what is held back for them goes now.
    pub fn hurry(&self) {
        let state = self.lock();
        state.streams.values().for_each(|(_, stream)| stream.hurry());
    }

    /// Ends what has run out, and removes checkpoints that nobody holds any more. On the runtime.
    pub(super) fn expire(&self, now: Time, session_timeout: Duration) {
        let gone = self.expired(now, session_timeout);
        if !gone.is_empty() {
            tokio::task::spawn_blocking(move || snapshot::remove(&gone));
        }
    }

    /// Gives the directories of the checkpoints.
    fn expired(&self, now: Time, session_timeout: Duration) -> Vec<PathBuf> {
        let state = &mut *self.lock();
        state.checkpoints.set_settings(checkpoint_settings(session_timeout));
        for session in state.sessions.expire(now, session_timeout) {
            tracing::info!(follower = %session.holder.node, "nothing is heard of a replica any more");
            state.end_session(now, &session);
        }
        let gone = state.checkpoints.expire(now);
        state.forget(gone)
    }

    /// The data is being replaced: what followers were told does not hold any more, and all checkpoints go.
    pub(super) fn data_replaced(&self, now: Time) {
        snapshot::remove(&self.forget_data(now));
    }

    fn forget_data(&self, now: Time) -> Vec<PathBuf> {
        let state = &mut *self.lock();
        let sessions: Vec<_> = state.sessions.iter().map(|session| session.id).collect();
        for id in sessions {
            if let Some(session) = state.sessions.close(id) {
                state.end_session(now, &session);
            }
        }
        let gone = state.checkpoints.clear();
        state.progress = Progress::new(PinSettings::default());
        state.forget(gone)
    }

    /// All replicas, the longest connected first.
    pub fn replicas(&self, now: Time) -> Vec<Replica> {
        let state = self.lock();
        let mut sessions: Vec<_> = state.sessions.iter().collect();
        sessions.sort_by_key(|session| (session.since, session.holder.node));
        sessions.iter().map(|session| state.replica(session, now)).collect()
    }

    /// Replicas that have applied the entry at `index`.
    pub fn applied(&self, index: u64) -> usize {
        self.lock().progress.applied(index)
    }

    /// Replicas on whose disks the entry at `index` is.
    pub fn durable(&self, index: u64) -> usize {
        self.lock().progress.durable(index)
    }

    /// Replicas that were heard within `max_lag`.
    pub fn good_replicas(&self, now: Time, max_lag: Duration) -> usize {
        self.lock().progress.good_replicas(now, max_lag)
    }
}

fn checkpoint_settings(session_timeout: Duration) -> CheckpointSettings {
    CheckpointSettings {
        lease: session_timeout * LEASE_TIMEOUTS,
        ..CheckpointSettings::default()
    }
}

impl State {
    fn end_session(&mut self, now: Time, session: &SessionInfo) {
        self.addresses.remove(&session.id);
        if let Some((of, _)) = self.streams.get(&session.holder)
            && *of == session.id
            && let Some((_, stream)) = self.streams.remove(&session.holder)
        {
            stream.close(Refusal::UnknownSession);
            self.progress.stream_closed(now, session.holder);
        }
    }

    /// Forgets checkpoints; gives their directories.
    pub(super) fn forget(&mut self, gone: Vec<SnapshotId>) -> Vec<PathBuf> {
        let snapshots = gone.iter().filter_map(|id| self.snapshots.remove(id));
        snapshots.map(|snapshot| snapshot.dir().to_owned()).collect()
    }

    fn replica(&self, session: &SessionInfo, now: Time) -> Replica {
        let request = &session.request;
        let address = self.addresses.get(&session.id).map(IpAddr::to_string);
        let streams = self.streams.contains_key(&session.holder);
        let follower = self.progress.get(session.holder);
        Replica {
            host: request.announce_host.clone().or(address).unwrap_or_default(),
            port: request.announce_port,
            state: if streams { "online" } else { "send_bulk" },
            acks: follower.map(|follower| follower.acks).unwrap_or_default(),
            heard: now.since(session.heard),
            node: session.holder.node,
        }
    }
}
