//! The follower's copy of a checkpoint: carries out what [`struct@Copy`] wants.

use haypile_sync::copy::{ChunkRef, Copy, CopyAction, CopyEvent, CopyRefusal, Manifest};
use haypile_sync::follower::PartitionEvent;
use haypile_sync::message::CheckpointReason;
use haypile_sync::{AttemptId, ErrorKind, Failure, SessionId};

use super::{CopyTask, FollowerSide, LocalStep, after};
use crate::checkpoint::decode;
use crate::disk::Disk;
use crate::message::{CopyId, Message};
use crate::node::{Context, Note};

impl FollowerSide {
    pub(super) fn start_copy(
        &mut self,
        disk: &mut Disk,
        cx: &mut Context<'_>,
        attempt: AttemptId,
        session: SessionId,
        reason: CheckpointReason,
    ) {
        cx.note(Note::Trace(format!("copy starts: {reason:?}")));
        let id = CopyId { session, attempt };
        let copy = Copy::new(cx.times.copy.clone(), self.reject, cx.now);
        self.copy = Some(CopyTask {
            id,
            tenure: self.tenure,
            copy,
            manifest: None,
            fetches: Vec::new(),
        });
        self.copy(disk, cx, CopyEvent::Tick);
    }

    pub(super) fn copy(&mut self, disk: &mut Disk, cx: &mut Context<'_>, event: CopyEvent) {
        let Some(task) = &mut self.copy else { return };
        let id = task.id;
        for action in task.copy.step(cx.now, event, cx.rng) {
            let Some(task) = &mut self.copy else { return };
            match action {
                CopyAction::AskManifest { request, reject } => {
                    self.send(
                        cx,
                        Message::AskManifest {
                            copy: id,
                            request,
                            reject,
                        },
                    );
                }
                CopyAction::Inspect(manifest) => {
                    task.manifest = Some(manifest);
                    after(cx, 50, LocalStep::Inspected(id));
                }
                CopyAction::Fetch { fetch, chunk } => {
                    let Some(manifest) = &task.manifest else {
                        panic!("a fetch without a manifest")
                    };
                    let snapshot = manifest.snapshot();
                    task.fetches.push((fetch, chunk));
                    self.send(
                        cx,
                        Message::FetchChunk {
                            copy: id,
                            fetch,
                            snapshot,
                            chunk,
                        },
                    );
                }
                CopyAction::Cancel { fetch } => task.fetches.retain(|(known, _)| *known != fetch),
                CopyAction::Renew(snapshot) => {
                    let session = id.session;
                    self.send(cx, Message::Renew { session, snapshot });
                }
                CopyAction::Release(snapshot) => self.send(
                    cx,
                    Message::Release {
                        session: id.session,
                        snapshot,
                    },
                ),
                CopyAction::Progress(progress) => {
                    let attempt = id.attempt;
                    self.partition(disk, cx, PartitionEvent::CopyProgress { attempt, progress });
                }
                CopyAction::Sync => after(cx, 50, LocalStep::Synced(id)),
                CopyAction::Install(manifest) => {
                    self.installing = Some((id, task.tenure, manifest));
                    after(cx, 50, LocalStep::Installed(id));
                }
                CopyAction::Done => {
                    self.copy = None;
                    self.partition(disk, cx, PartitionEvent::Installed { attempt: id.attempt });
                }
                CopyAction::Failed { failure, reject } => {
                    self.reject = reject;
                    self.copy = None;
                    self.partition(
                        disk,
                        cx,
                        PartitionEvent::Failed {
                            attempt: id.attempt,
                            failure,
                        },
                    );
                }
            }
        }
    }

    pub(super) fn inspected(&mut self, disk: &mut Disk, cx: &mut Context<'_>, id: CopyId) {
        let Some(task) = self.copy.as_ref().filter(|task| task.id == id) else {
            return;
        };
        let Some(manifest) = &task.manifest else { return };
        let size = |name: &str| {
            manifest
                .files()
                .iter()
                .find(|file| file.name == name)
                .map(|file| file.size)
        };
        disk.incoming.retain(|name, _| size(name).is_some());
        for file in manifest.files() {
            disk.incoming
                .entry(file.name.clone())
                .or_default()
                .resize(file.size as usize, 0);
        }
        let right = |at: &ChunkRef| {
            let Some((offset, length)) = manifest.range(*at) else {
                return false;
            };
            let bytes = &disk.incoming[&manifest.files()[at.file as usize].name];
            manifest.verify(*at, &bytes[offset as usize..][..length as usize])
        };
        let verified = manifest.chunks().filter(right).collect();
        self.copy(
            disk,
            cx,
            CopyEvent::Inspected {
                verified,
                free_bytes: disk.free_bytes,
            },
        );
    }

    pub(super) fn chunk(
        &mut self,
        disk: &mut Disk,
        cx: &mut Context<'_>,
        id: CopyId,
        fetch: AttemptId,
        reply: Result<Vec<u8>, CopyRefusal>,
    ) {
        let Some(task) = self.copy.as_mut().filter(|task| task.id == id) else {
            return;
        };
        let Some(at) = task.fetches.iter().position(|(known, _)| *known == fetch) else {
            return;
        };
        let (_, chunk) = task.fetches.swap_remove(at);
        let Some(manifest) = &task.manifest else { return };
        let result = match reply {
            Ok(bytes) => write_chunk(disk, manifest, chunk, &bytes),
            Err(refusal) => Err(refusal.into()),
        };
        self.copy(disk, cx, CopyEvent::Fetched { fetch, result });
    }

    pub(super) fn installed(&mut self, disk: &mut Disk, cx: &mut Context<'_>, id: CopyId) -> bool {
        let Some((_, tenure, manifest)) = self.installing.take_if(|(of, ..)| *of == id) else {
            return false;
        };
        if let Err(failure) = disk.check_tenure(tenure) {
            if self.copy.as_ref().is_some_and(|task| task.id == id) {
                self.copy(disk, cx, CopyEvent::LocalFailed(failure));
            }
            self.read_position(cx);
            return false;
        }
        // The swap: data, position and history at once.
        let files = std::mem::take(&mut disk.incoming);
        disk.data = decode(&manifest, &files);
        disk.history = manifest.history().clone();
        disk.durable = disk.last();
        disk.log_first = disk.last() + 1;
        disk.poisoned = false;
        assert_eq!(disk.position().end, manifest.position());
        cx.note(Note::Installed);
        if self.copy.as_ref().is_some_and(|task| task.id == id) {
            self.copy(disk, cx, CopyEvent::Installed);
        }
        self.read_position(cx);
        true
    }
}

fn write_chunk(disk: &mut Disk, manifest: &Manifest, at: ChunkRef, bytes: &[u8]) -> Result<(), Failure> {
    let name = &manifest.files()[at.file as usize].name;
    if !manifest.verify(at, bytes) {
        return Err(Failure::new(
            ErrorKind::Corrupt(name.clone()),
            format!("chunk {}", at.chunk),
        ));
    }
    if disk.free_bytes < bytes.len() as u64 {
        return Err(Failure::new(ErrorKind::NoSpace, name.clone()));
    }
    let (Some((offset, _)), Some(file)) = (manifest.range(at), disk.incoming.get_mut(name)) else {
        return Err(Failure::new(ErrorKind::Internal, "no such chunk"));
    };
    file[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    Ok(())
}
