//! The copy of a checkpoint: carries out what [`Copy`](struct@Copy) wants.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haypile_partition::install::incoming_store;
use haypile_sync::copy::{ChunkRef, Copy, CopyAction, CopyEvent, CopyProgress, CopyRefusal, CopyStage, Manifest};
use haypile_sync::follower::PartitionEvent;
use haypile_sync::message::{CheckpointReason, CopyChunkRequest, CopyMetaRequest, HoldCheckpoint};
use haypile_sync::wire::{WireError, v1};
use haypile_sync::{AttemptId, Failure, PartitionId, SessionId, SnapshotId, Tenure, Time};
use haypile_types::Position;
use tokio::task::AbortHandle;

use super::driver::{Driver, Event};
use super::inspecting::{Incoming, local};
use super::{diverged, filling, installing};
use crate::options::partition_dir;
use crate::replication::transport::{self, Client, blocking};
use crate::replication::{Replication, settings};

/// A copy under way.
pub(super) struct Copying {
    pub(super) attempt: AttemptId,
    /// What is copied.
    partition: PartitionId,
    /// Of the role in which it began.
    tenure: Tenure,
    session: SessionId,
    client: Client,
    copy: Copy,
    manifest: Option<Arc<Manifest>>,
    fetches: HashMap<AttemptId, AbortHandle>,
    /// Until it is stopped.
    wanted: Arc<AtomicBool>,
    incoming: Arc<Incoming>,
    /// What is done on the disk, one thing at a time.
    dir: PathBuf,
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Release);
        self.fetches.values().for_each(AbortHandle::abort);
    }
}

/// A copy that has not begun yet.
pub(super) struct Beginning {
    pub(super) attempt: AttemptId,
    session: SessionId,
    client: Client,
}

impl Driver {
    pub(super) fn copy_deadline(&self) -> Option<Time> {
        self.copy.as_ref().and_then(|copying| copying.copy.deadline())
    }

    pub(super) fn start_copy(
        &mut self,
        replication: &Arc<Replication>,
        attempt: AttemptId,
        session: SessionId,
        reason: CheckpointReason,
        client: Client,
    ) {
        match reason {
            CheckpointReason::Poisoned => {
                self.shared.poisoned_copies.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%reason, "a full sync begins: look above for what has failed, and report it if it is not the disk");
            }
            _ => tracing::info!(%reason, "a full sync begins"),
        }
        if matches!(
            reason,
            CheckpointReason::Diverged { .. } | CheckpointReason::ForeignHistory
        ) {
            // `run` gives the thread back.
            tokio::task::block_in_place(|| replication.roles.confirm(self.tenure, false));
        }
        let beginning = Beginning {
            attempt,
            session,
            client,
        };
        if let CheckpointReason::Diverged {
            lost_first, lost_last, ..
        } = reason
        {
            self.keep_first(replication, beginning, lost_first, lost_last);
        } else {
            self.begin_copy(replication, beginning);
        }
    }

    /// Keeps writes that nobody else has, one attempt at a time, and goes on when it is done.
    fn keep_first(&mut self, replication: &Arc<Replication>, beginning: Beginning, first: Position, last: Position) {
        let (replication, events, keeping) = (replication.clone(), self.events.clone(), self.keeping.clone());
        let id = self.id.clone();
        let attempt = beginning.attempt;
        self.beginning = Some(beginning);
        tokio::spawn(async move {
            let alone = keeping.lock_owned().await;
            tokio::task::spawn_blocking(move || {
                let _alone = alone;
                let told = |bytes_before| {
                    let progress = CopyProgress {
                        stage: CopyStage::Keeping,
                        bytes_before,
                        ..CopyProgress::default()
                    };
                    let event = PartitionEvent::CopyProgress { attempt, progress };
                    drop(events.send(Event::Partition(event)));
                };
                let kept = diverged::keep(&replication, &id, first, last, told);
                let kept = kept.map_err(|error| local(&error, "keep the entries that nobody else has"));
                drop(events.send(Event::Kept(attempt, kept)));
            });
        });
    }

    /// What nobody else has is kept, or cannot be.
    pub(super) fn kept(&mut self, replication: &Arc<Replication>, attempt: AttemptId, kept: Result<(), Failure>) {
        // Stopped meanwhile otherwise.
        let Some(beginning) = self.beginning.take_if(|beginning| beginning.attempt == attempt) else {
            return;
        };
        match kept {
            Ok(()) => self.begin_copy(replication, beginning),
            Err(failure) => self.partition_failed(attempt, failure),
        }
    }

    fn begin_copy(&mut self, replication: &Arc<Replication>, beginning: Beginning) {
        let Beginning {
            attempt,
            session,
            client,
        } = beginning;
        let now = replication.now();
        let values = replication.parts.config.get();
        let settings = settings::copy_settings(&values);
        self.copy = Some(Copying {
            attempt,
            partition: self.id.clone(),
            tenure: self.tenure,
            session,
            client,
            copy: Copy::new(settings, self.reject, now),
            manifest: None,
            fetches: HashMap::new(),
            wanted: Arc::new(AtomicBool::new(true)),
            incoming: self.incoming.clone(),
            dir: incoming_store(&partition_dir(&values, &self.id)),
        });
        self.copy_event(replication, attempt, CopyEvent::Tick);
    }

    pub(super) fn copy_tick(&mut self, replication: &Arc<Replication>) {
        let Some(copying) = &mut self.copy else { return };
        let settings = settings::copy_settings(&replication.parts.config.load());
        copying.copy.set_settings(replication.now(), settings);
        let attempt = copying.attempt;
        self.copy_event(replication, attempt, CopyEvent::Tick);
    }

    pub(super) fn copy_event(&mut self, replication: &Arc<Replication>, attempt: AttemptId, event: CopyEvent) {
        let now = replication.now();
        let actions = match &mut self.copy {
            Some(copying) if copying.attempt == attempt => copying.copy.step(now, event, &mut self.random),
            _ => return,
        };
        for action in actions {
            self.copy_action(replication, action);
        }
    }

    fn copy_action(&mut self, replication: &Arc<Replication>, action: CopyAction) {
        let Some(copying) = &mut self.copy else { return };
        let attempt = copying.attempt;
        let events = self.events.clone();
        let tell = move |event| drop(events.send(Event::Copy(attempt, event)));
        match action {
            CopyAction::AskManifest { request, reject } => copying.ask(request, reject, tell),
            CopyAction::Inspect(manifest) => {
                copying.manifest = Some(manifest.clone());
                let (dir, incoming, wanted) = (copying.dir.clone(), copying.incoming.clone(), copying.wanted.clone());
                tokio::task::spawn_blocking(move || {
                    let told = |bytes| tell(CopyEvent::Inspecting { bytes });
                    tell(match incoming.inspect(&dir, &manifest, &wanted, told) {
                        Ok((verified, free_bytes)) => CopyEvent::Inspected { verified, free_bytes },
                        Err(error) => CopyEvent::LocalFailed(local(&error, "look at what is there")),
                    });
                });
            }
            CopyAction::Fetch { fetch, chunk } => copying.fetch(fetch, chunk, tell),
            CopyAction::Cancel { fetch } => {
                if let Some(task) = copying.fetches.remove(&fetch) {
                    task.abort();
                }
            }
            CopyAction::Renew(snapshot) => copying.hold(snapshot, true),
            CopyAction::Release(snapshot) => copying.hold(snapshot, false),
            CopyAction::Progress(progress) => {
                self.partition_event(PartitionEvent::CopyProgress { attempt, progress });
            }
            CopyAction::Sync => {
                let dir = copying.dir.clone();
                tokio::task::spawn_blocking(move || {
                    tell(match sync_all(&dir) {
                        Ok(()) => CopyEvent::Synced,
                        Err(error) => CopyEvent::LocalFailed(local(&error, "make durable what was copied")),
                    });
                });
            }
            CopyAction::Install(manifest) => {
                let (replication, data_lock, tenure) = (replication.clone(), self.data_lock.clone(), copying.tenure);
                let (id, behind) = (self.id.clone(), self.is_behind());
                tokio::spawn(async move {
                    let data_lock = data_lock.lock_owned().await;
                    tokio::task::spawn_blocking(move || {
                        let _data_lock = data_lock;
                        let installed = match replication.is_in_group() {
                            true => filling::install(&replication, &id, behind, &manifest),
                            false => installing::install(&replication, &id, tenure, &manifest),
                        };
                        tell(match installed {
                            Ok(()) => CopyEvent::Installed,
                            Err(failure) => CopyEvent::LocalFailed(failure),
                        });
                    });
                });
            }
            CopyAction::Done => {
                tracing::info!("a full sync is installed");
                self.copy = None;
                self.partition_event(PartitionEvent::Installed { attempt });
                self.end_filling();
            }
            CopyAction::Failed { failure, reject } => {
                self.reject = reject;
                self.copy = None;
                self.partition_failed(attempt, failure);
            }
        }
    }
}

impl Copying {
    fn ask(&self, request: AttemptId, reject: Option<SnapshotId>, tell: impl FnOnce(CopyEvent) + Send + 'static) {
        let mut client = self.client.clone();
        let message = CopyMetaRequest {
            session: self.session,
            partition: self.partition.clone(),
            reject,
        };
        tokio::spawn(async move {
            let reply: Result<Result<Manifest, CopyRefusal>, Failure> =
                match client.copy_meta(v1::CopyMetaRequest::from(message)).await {
                    Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                    Err(status) => Err(transport::failure(&status)),
                };
            let reply = reply.and_then(|reply| reply.map_err(Failure::from)).map(Arc::new);
            tell(CopyEvent::Manifest { request, reply });
        });
    }

    fn fetch(&mut self, fetch: AttemptId, chunk: ChunkRef, tell: impl FnOnce(CopyEvent) + Send + 'static) {
        let Some(manifest) = self.manifest.clone() else { return };
        let (mut client, dir) = (self.client.clone(), self.dir.clone());
        let (incoming, wanted) = (self.incoming.clone(), self.wanted.clone());
        let message = CopyChunkRequest {
            session: self.session,
            partition: self.partition.clone(),
            snapshot: manifest.snapshot(),
            chunk,
        };
        let task = tokio::spawn(async move {
            let reply: Result<Result<bytes::Bytes, CopyRefusal>, Failure> =
                match client.copy_chunk(v1::CopyChunkRequest::from(message)).await {
                    Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                    Err(status) => Err(transport::failure(&status)),
                };
            let result = match reply {
                Ok(Ok(bytes)) => blocking(|| incoming.write(&dir, &manifest, chunk, &bytes, &wanted)).await,
                Ok(Err(refusal)) => Err(refusal.into()),
                Err(failure) => Err(failure),
            };
            tell(CopyEvent::Fetched { fetch, result });
        });
        self.fetches.retain(|_, task| !task.is_finished());
        self.fetches.insert(fetch, task.abort_handle());
    }

    /// No answer is awaited.
    fn hold(&self, snapshot: SnapshotId, renew: bool) {
        let mut client = self.client.clone();
        let message = HoldCheckpoint {
            session: self.session,
            partition: self.partition.clone(),
            snapshot,
            renew,
        };
        tokio::spawn(async move {
            let _ = client.hold_checkpoint(v1::HoldCheckpointRequest::from(message)).await;
        });
    }
}

fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(incoming) => File::open(incoming)?.sync_all(),
        None => Ok(()),
    }
}
