//! Which chunks are to be fetched, are being fetched, and have failed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{ChunkRef, CopySettings, Manifest};
use crate::{AttemptId, Class, ErrorKind, Failure, Time};

/// The time that a chunk may take is doubled so often at most.
const SLOW_MAX: u32 = 4;

/// Chunks that are to be fetched, are being fetched, and have failed.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    pub(super) manifest: Arc<Manifest>,
    pub(super) waiting: VecDeque<ChunkRef>,
    /// Chunks that failed, and when to fetch them again.
    pub(super) again: BTreeSet<(Time, ChunkRef)>,
    pub(super) under_way: BTreeMap<AttemptId, (ChunkRef, Time)>,
    /// Causes of failed attempts, by file.
    pub(super) causes: BTreeMap<u32, Vec<Failure>>,
    pub(super) throttled_until: Option<Time>,
    pub(super) fetched_bytes: u64,
    /// How often chunks were late.
    pub(super) slow: u32,
}

impl Fetching {
    /// The chunk to fetch next: those that failed before and whose pause is over first.
    pub(super) fn next(&mut self, now: Time) -> Option<ChunkRef> {
        match self.again.first() {
            Some(&(at, chunk)) if at <= now => {
                self.again.pop_first();
                Some(chunk)
            }
            _ => self.waiting.pop_front(),
        }
    }

    /// Chunks that may be under way: half as many each time that some were late.
    pub(super) fn workers(&self, settings: &CopySettings) -> usize {
        (settings.workers.checked_shr(self.slow).unwrap_or(0)).max(1) as usize
    }

    /// How long one may take: twice as long each time that some were late.
    pub(super) fn chunk_timeout(&self, settings: &CopySettings) -> Duration {
        settings.chunk_timeout * (1 << self.slow.min(SLOW_MAX))
    }

    pub(super) fn deadline(&self, workers: usize) -> Option<Time> {
        let room = self.under_way.len() < workers;
        let under_way = self.under_way.values().map(|(_, deadline)| *deadline).min();
        let again = self.again.first().map(|(at, _)| *at).filter(|_| room);
        under_way.into_iter().chain(again).chain(self.throttled_until).min()
    }
}

/// What fetching again cannot cure.
pub(super) fn ends_the_copy(kind: &ErrorKind) -> bool {
    let gone = matches!(kind, ErrorKind::CheckpointGone | ErrorKind::SessionLost);
    let disk = matches!(kind, ErrorKind::NoSpace | ErrorKind::Io);
    gone || disk || kind.class() == Class::FatalUntilChanged
}

/// The failure that ends a copy when a file's attempts are used up: the last kind, all causes.
pub(super) fn used_up(manifest: &Manifest, chunk: ChunkRef, causes: &[Failure]) -> Failure {
    let name = manifest
        .files()
        .get(chunk.file as usize)
        .map_or("", |file| file.name.as_str());
    let list: Vec<_> = (1..)
        .zip(causes)
        .map(|(n, cause)| format!("attempt {n}: {cause}"))
        .collect();
    let kind = causes
        .last()
        .map_or(ErrorKind::Internal, |failure| failure.kind.clone());
    Failure::new(kind, format!("{name}: {}", list.join("; ")))
}
