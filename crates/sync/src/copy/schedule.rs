//! What a copy does next: one decision after another, without doing anything itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haypile_types::Random;

use super::fetching::{Fetching, ends_the_copy, used_up};
use super::{ChunkRef, CopyProgress, CopySettings, CopyStage, Manifest, Throttle};
use crate::{AttemptId, ErrorKind, Failure, NotReady, SnapshotId, Time};

/// What happens to a [`Copy`](struct@Copy).
#[derive(Clone, Debug)]
pub enum CopyEvent {
    /// The source answered `AskManifest`, or asking failed. A refusal is a [`Failure`] too (`CopyRefusal::into`), and so
    /// is a manifest that is none (kind `Protocol`).
    Manifest {
        /// Of the `AskManifest`.
        request: AttemptId,
        /// The answer.
        reply: Result<Arc<Manifest>, Failure>,
    },
    /// The inspection goes on, and has read so many bytes.
    Inspecting {
        /// In all.
        bytes: u64,
    },
    /// `Inspect` is done.
    Inspected {
        /// Chunks whose digest is right in what is there.
        verified: Vec<ChunkRef>,
        /// Bytes free on the disk.
        free_bytes: u64,
    },
    /// A fetch ended: the chunk is checked and written, or why not. Kind `Corrupt` if the digest was wrong,
    /// `NoSpace` or `Io` if writing failed.
    Fetched {
        /// Of the `Fetch`.
        fetch: AttemptId,
        /// How it ended.
        result: Result<(), Failure>,
    },
    /// `Sync` is done.
    Synced,
    /// `Install` is done.
    Installed,
    /// A local step failed: `Inspect`, `Sync` or `Install`.
    LocalFailed(Failure),
    /// The deadline has come.
    Tick,
}

/// What the driver of a [`Copy`](struct@Copy) has to do.
#[derive(Clone, Debug)]
pub enum CopyAction {
    /// Ask the source for a checkpoint's manifest.
    AskManifest {
        /// For the event.
        request: AttemptId,
        /// A checkpoint that turned out to be damaged, and must not be handed out again.
        reject: Option<SnapshotId>,
    },
    /// Look at `incoming/`: remove what the manifest has not, find chunks that are right already, make files of the
    /// right size (also the empty ones), see how much room there is.
    Inspect(Arc<Manifest>),
    /// Fetch a chunk, check it ([`Manifest::verify`]), write it.
    Fetch {
        /// For the event.
        fetch: AttemptId,
        /// Which chunk.
        chunk: ChunkRef,
    },
    /// Give up a fetch that took too long.
    Cancel {
        /// Of the `Fetch`.
        fetch: AttemptId,
    },
    /// Tell the source that its checkpoint is still needed. No answer is awaited.
    Renew(SnapshotId),
    /// Tell the source that its checkpoint is no longer needed.
    Release(SnapshotId),
    /// Tell the partition machine (`PartitionEvent::CopyProgress`), and log it now and then.
    Progress(CopyProgress),
    /// Make all that was copied durable, directory included.
    Sync,
    /// Put it in place of the old data ([`install`](super::install)).
    Install(Arc<Manifest>),
    /// It is done: tell the partition machine (`PartitionEvent::Installed`).
    Done,
    /// It failed: tell the partition machine (`PartitionEvent::Failed`). The next copy gets `reject`.
    Failed {
        /// Why; after a file's attempts are used up, with all their causes.
        failure: Failure,
        /// The checkpoint, if it is damaged.
        reject: Option<SnapshotId>,
    },
}

/// Decides what a copy does next. One for each `PartitionAction::StartCopy`.
#[derive(Clone, Debug)]
pub struct Copy {
    settings: CopySettings,
    throttle: Throttle,
    stage: Stage,
    /// Since when the stage is what it is.
    since: Time,
    reject: Option<SnapshotId>,
    /// When to renew the lease next.
    renew_at: Time,
    ids: u64,
    progress: CopyProgress,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Before the first step.
    New,
    Asking {
        request: AttemptId,
        deadline: Time,
        busy_since: Option<Time>,
    },
    /// The source is busy.
    Waiting {
        again_at: Time,
        busy_since: Time,
    },
    Inspecting(Arc<Manifest>),
    Fetching(Fetching),
    Syncing(Arc<Manifest>),
    Installing,
    Ended,
}

impl Copy {
    /// A copy that has not begun: give it a `Tick`. `reject` is from the copy before, if that failed with one.
    pub fn new(settings: CopySettings, reject: Option<SnapshotId>, now: Time) -> Self {
        let throttle = Throttle::new(settings.bytes_per_second, now);
        let progress = CopyProgress::default();
        Copy {
            settings,
            throttle,
            stage: Stage::New,
            since: now,
            reject,
            renew_at: now,
            ids: 0,
            progress,
        }
    }

    /// Takes other limits at once: workers, rate, attempts. Give a `Tick` after it.
    pub fn set_settings(&mut self, now: Time, settings: CopySettings) {
        if settings.bytes_per_second != self.settings.bytes_per_second {
            self.throttle.set_rate(now, settings.bytes_per_second);
        }
        self.settings = settings;
    }

    /// How far it is.
    pub fn progress(&self) -> &CopyProgress {
        &self.progress
    }

    /// When to give `Tick` at the latest; `None` once it has ended.
    pub fn deadline(&self) -> Option<Time> {
        match &self.stage {
            Stage::New => Some(self.since),
            Stage::Asking { deadline, .. } => Some(*deadline),
            Stage::Waiting { again_at, .. } => Some(*again_at),
            Stage::Inspecting(_) => Some(self.renew_at.min(self.since + self.settings.local_timeout)),
            Stage::Syncing(_) | Stage::Installing => Some(self.since + self.settings.local_timeout),
            Stage::Fetching(fetching) => {
                let own = fetching.deadline(fetching.workers(&self.settings));
                Some(own.map_or(self.renew_at, |at| at.min(self.renew_at)))
            }
            Stage::Ended => None,
        }
    }

    /// Takes an event; returns what is to be done, in this order.
    pub fn step(&mut self, now: Time, event: CopyEvent, rng: &mut dyn Random) -> Vec<CopyAction> {
        let mut actions = Vec::new();
        match event {
            CopyEvent::Manifest { request, reply } => self.manifest(now, request, reply, &mut actions),
            CopyEvent::Inspected { verified, free_bytes } => {
                self.inspected(now, &verified, free_bytes, &mut actions);
            }
            CopyEvent::Inspecting { bytes } => {
                if matches!(self.stage, Stage::Inspecting(_)) {
                    self.since = now;
                    self.progress.bytes_before = bytes;
                    actions.push(CopyAction::Progress(self.progress.clone()));
                }
            }
            CopyEvent::Fetched { fetch, result } => self.fetched(now, fetch, result, rng, &mut actions),
            CopyEvent::Synced => {
                if let Stage::Syncing(manifest) = &self.stage {
                    actions.push(CopyAction::Install(Arc::clone(manifest)));
                    self.enter(now, Stage::Installing, &mut actions);
                }
            }
            CopyEvent::Installed => {
                if matches!(self.stage, Stage::Installing) {
                    self.enter(now, Stage::Ended, &mut actions);
                    actions.push(CopyAction::Done);
                }
            }
            CopyEvent::LocalFailed(failure) => {
                if matches!(self.stage, Stage::Inspecting(_) | Stage::Syncing(_) | Stage::Installing) {
                    self.fail(now, failure, &mut actions);
                }
            }
            CopyEvent::Tick => self.tick(now, rng, &mut actions),
        }
        self.fill(now, &mut actions);
        actions
    }

    fn next_id(&mut self) -> AttemptId {
        self.ids += 1;
        AttemptId(self.ids)
    }

    fn tick(&mut self, now: Time, rng: &mut dyn Random, actions: &mut Vec<CopyAction>) {
        if let Stage::Inspecting(manifest) | Stage::Fetching(Fetching { manifest, .. }) = &self.stage
            && self.renew_at <= now
        {
            self.renew_at = now + self.settings.renew_interval;
            actions.push(CopyAction::Renew(manifest.snapshot()));
        }
        match &self.stage {
            Stage::New => self.ask(now, None, actions),
            Stage::Waiting { again_at, busy_since } if *again_at <= now => {
                let busy_since = *busy_since;
                self.ask(now, Some(busy_since), actions);
            }
            Stage::Asking { deadline, .. } if *deadline <= now => {
                self.fail(now, Failure::timeout("asking", now.since(self.since)), actions);
            }
            Stage::Fetching(_) => self.give_up_late(now, rng, actions),
            Stage::Inspecting(_) | Stage::Syncing(_) | Stage::Installing
                if self.since + self.settings.local_timeout <= now =>
            {
                let failure = Failure::timeout(self.progress.stage.name(), now.since(self.since));
                self.fail(now, failure, actions);
            }
            _ => {}
        }
    }

    /// Chunks that take too long. The link may just be slow: from now on fewer are under way at the same time, and have
    /// more time. Those of a file that are late together are one failed attempt at it.
    fn give_up_late(&mut self, now: Time, rng: &mut dyn Random, actions: &mut Vec<CopyAction>) {
        let Stage::Fetching(fetching) = &mut self.stage else {
            return;
        };
        let late = fetching.under_way.iter().filter(|(_, (_, deadline))| *deadline <= now);
        let late: Vec<_> = late.map(|(fetch, (chunk, _))| (*fetch, *chunk)).collect();
        if late.is_empty() {
            return;
        }
        let failure = Failure::timeout("fetching", fetching.chunk_timeout(&self.settings));
        fetching.slow += 1;
        let mut files = BTreeSet::new();
        for (fetch, chunk) in late {
            actions.push(CopyAction::Cancel { fetch });
            if files.insert(chunk.file) {
                self.fetched(now, fetch, Err(failure.clone()), rng, actions);
            } else if let Stage::Fetching(fetching) = &mut self.stage {
                fetching.under_way.remove(&fetch);
                fetching.waiting.push_front(chunk);
            }
        }
    }

    fn ask(&mut self, now: Time, busy_since: Option<Time>, actions: &mut Vec<CopyAction>) {
        let request = self.next_id();
        self.progress.asked += 1;
        actions.push(CopyAction::AskManifest {
            request,
            reject: self.reject,
        });
        let deadline = now + self.settings.request_timeout;
        self.enter(
            now,
            Stage::Asking {
                request,
                deadline,
                busy_since,
            },
            actions,
        );
    }

    fn manifest(
        &mut self,
        now: Time,
        of: AttemptId,
        reply: Result<Arc<Manifest>, Failure>,
        actions: &mut Vec<CopyAction>,
    ) {
        let busy_since = match &self.stage {
            Stage::Asking {
                request, busy_since, ..
            } if *request == of => *busy_since,
            _ => return,
        };
        match reply {
            Ok(manifest) if Some(manifest.snapshot()) == self.reject => {
                self.fail(
                    now,
                    Failure::new(ErrorKind::CheckpointGone, "the damaged checkpoint came again"),
                    actions,
                );
            }
            Ok(manifest) => {
                self.progress.bytes_total = manifest.total_bytes();
                self.progress.files_total = manifest.files().len() as u64;
                self.renew_at = now + self.settings.renew_interval;
                actions.push(CopyAction::Inspect(Arc::clone(&manifest)));
                self.enter(now, Stage::Inspecting(manifest), actions);
            }
            Err(failure) if failure.kind == ErrorKind::PeerNotReady(NotReady::Busy) => {
                let busy_since = busy_since.unwrap_or(now);
                if now.since(busy_since) >= self.settings.busy_timeout {
                    self.fail(now, failure, actions);
                } else {
                    let again_at = now + self.settings.busy_pause;
                    self.enter(now, Stage::Waiting { again_at, busy_since }, actions);
                }
            }
            Err(failure) => self.fail(now, failure, actions),
        }
    }

    fn inspected(&mut self, now: Time, verified: &[ChunkRef], free_bytes: u64, actions: &mut Vec<CopyAction>) {
        let Stage::Inspecting(manifest) = &self.stage else {
            return;
        };
        let manifest = Arc::clone(manifest);
        let mut waiting: Vec<_> = manifest.chunks().collect();
        let verified: BTreeSet<_> = verified.iter().collect();
        waiting.retain(|chunk| !verified.contains(chunk));
        let length = |chunk: &ChunkRef| manifest.range(*chunk).map_or(0, |(_, length)| u64::from(length));
        let missing: u64 = waiting.iter().map(length).sum();
        let needed = missing.saturating_add(self.settings.space_reserve_bytes);
        self.progress.bytes_done = manifest.total_bytes() - missing;
        if needed > free_bytes {
            let cause = format!("{needed} bytes are needed, {free_bytes} are free");
            return self.fail(now, Failure::new(ErrorKind::NoSpace, cause), actions);
        }
        let fetching = Fetching {
            manifest,
            waiting: waiting.into(),
            again: BTreeSet::new(),
            under_way: BTreeMap::new(),
            causes: BTreeMap::new(),
            throttled_until: None,
            fetched_bytes: 0,
            slow: 0,
        };
        self.enter(now, Stage::Fetching(fetching), actions);
    }

    fn fetched(
        &mut self,
        now: Time,
        fetch: AttemptId,
        result: Result<(), Failure>,
        rng: &mut dyn Random,
        actions: &mut Vec<CopyAction>,
    ) {
        let Stage::Fetching(fetching) = &mut self.stage else {
            return;
        };
        let Some((chunk, _)) = fetching.under_way.remove(&fetch) else {
            return;
        };
        let Err(failure) = result else {
            let length = fetching
                .manifest
                .range(chunk)
                .map_or(0, |(_, length)| u64::from(length));
            fetching.fetched_bytes += length;
            self.progress.bytes_done += length;
            let millis = now.since(self.since).as_millis().max(1);
            self.progress.bytes_per_second = (u128::from(fetching.fetched_bytes) * 1000 / millis) as u64;
            return actions.push(CopyAction::Progress(self.progress.clone()));
        };
        self.progress.failures += 1;
        if ends_the_copy(&failure.kind) {
            return self.fail(now, failure, actions);
        }
        let causes = fetching.causes.entry(chunk.file).or_default();
        causes.push(failure);
        if causes.len() as u64 >= u64::from(self.settings.attempts_max.max(1)) {
            let failure = used_up(&fetching.manifest, chunk, causes);
            return self.fail(now, failure, actions);
        }
        let again_at = now + self.settings.retry.pause(causes.len() as u32, rng);
        fetching.again.insert((again_at, chunk));
    }

    /// Starts as many fetches as there is room for, or goes on when all is fetched.
    fn fill(&mut self, now: Time, actions: &mut Vec<CopyAction>) {
        let Stage::Fetching(fetching) = &mut self.stage else {
            return;
        };
        fetching.throttled_until = None;
        let workers = fetching.workers(&self.settings);
        let chunk_timeout = fetching.chunk_timeout(&self.settings);
        while fetching.under_way.len() < workers {
            let Some(chunk) = fetching.next(now) else {
                break;
            };
            let length = fetching
                .manifest
                .range(chunk)
                .map_or(0, |(_, length)| u64::from(length));
            if let Err(at) = self.throttle.take(now, length) {
                fetching.throttled_until = Some(at);
                fetching.waiting.push_front(chunk);
                break;
            }
            self.ids += 1;
            let fetch = AttemptId(self.ids);
            fetching.under_way.insert(fetch, (chunk, now + chunk_timeout));
            actions.push(CopyAction::Fetch { fetch, chunk });
        }
        if fetching.under_way.is_empty() && fetching.waiting.is_empty() && fetching.again.is_empty() {
            let manifest = Arc::clone(&fetching.manifest);
            actions.push(CopyAction::Release(manifest.snapshot()));
            actions.push(CopyAction::Sync);
            self.enter(now, Stage::Syncing(manifest), actions);
        }
    }

    fn fail(&mut self, now: Time, failure: Failure, actions: &mut Vec<CopyAction>) {
        let mut reject = None;
        if let Stage::Fetching(fetching) = &self.stage {
            actions.extend(
                fetching
                    .under_way
                    .keys()
                    .map(|fetch| CopyAction::Cancel { fetch: *fetch }),
            );
            if matches!(failure.kind, ErrorKind::Corrupt(_)) {
                reject = Some(fetching.manifest.snapshot());
            }
        }
        self.enter(now, Stage::Ended, actions);
        actions.push(CopyAction::Failed { failure, reject });
    }

    fn enter(&mut self, now: Time, stage: Stage, actions: &mut Vec<CopyAction>) {
        self.progress.stage = match stage {
            Stage::New | Stage::Asking { .. } | Stage::Waiting { .. } => CopyStage::Asking,
            Stage::Inspecting(_) => CopyStage::Inspecting,
            Stage::Fetching(_) => CopyStage::Fetching,
            Stage::Syncing(_) => CopyStage::Syncing,
            Stage::Installing => CopyStage::Installing,
            Stage::Ended => CopyStage::Ended,
        };
        self.stage = stage;
        self.since = now;
        if self.progress.stage != CopyStage::Ended {
            actions.push(CopyAction::Progress(self.progress.clone()));
        }
    }
}
