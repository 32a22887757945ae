//! The copy's scheduler, from outside: what it asks for, when, and how it ends.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use haypile_sync::copy::{
    CHUNK_BYTES_MIN, ChunkRef, Copy, CopyAction, CopyEvent, CopyRefusal, CopySettings, CopyStage, Digest, FileEntry,
    Manifest,
};
use haypile_sync::{AttemptId, EpochHistory, EpochId, ErrorKind, Failure, Retry, SnapshotId, Time};
use haypile_types::{Position, Random};

const CHUNK: u64 = CHUNK_BYTES_MIN as u64;
const SNAPSHOT: SnapshotId = SnapshotId(7);

struct Rng(u64);

impl Random for Rng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0
    }
}

/// Files of this many whole chunks each.
fn manifest(snapshot: SnapshotId, files: &[u64]) -> Arc<Manifest> {
    let mut history = EpochHistory::new();
    history.begin(EpochId(1), 0);
    let file = |(n, chunks): (usize, &u64)| FileEntry {
        name: format!("{n}.sst"),
        size: chunks * CHUNK,
        digests: vec![Digest(1); *chunks as usize],
    };
    let files = files.iter().enumerate().map(file).collect();
    Arc::new(Manifest::new(snapshot, Position::new(1, 9), history, CHUNK_BYTES_MIN, files).unwrap())
}

/// A copy with what it wanted so far.
struct Run {
    copy: Copy,
    rng: Rng,
    now: Time,
    fetches: Vec<(AttemptId, ChunkRef)>,
    others: Vec<CopyAction>,
}

impl Run {
    fn new(settings: CopySettings) -> Self {
        let now = Time::from_millis(1000);
        let copy = Copy::new(settings, None, now);
        let mut run = Run {
            copy,
            rng: Rng(1),
            now,
            fetches: Vec::new(),
            others: Vec::new(),
        };
        run.give(CopyEvent::Tick);
        run
    }

    /// A copy that fetches from a manifest of these files, of which nothing is there.
    fn fetching(settings: CopySettings, files: &[u64]) -> Self {
        let mut run = Run::new(settings);
        run.answer(Ok(manifest(SNAPSHOT, files)));
        run.give(CopyEvent::Inspected {
            verified: Vec::new(),
            free_bytes: u64::MAX,
        });
        run
    }

    fn give(&mut self, event: CopyEvent) {
        for action in self.copy.step(self.now, event, &mut self.rng) {
            match action {
                CopyAction::Fetch { fetch, chunk } => self.fetches.push((fetch, chunk)),
                CopyAction::Cancel { fetch } => self.fetches.retain(|(known, _)| *known != fetch),
                CopyAction::Progress(_) => {}
                other => self.others.push(other),
            }
        }
    }

    fn answer(&mut self, reply: Result<Arc<Manifest>, Failure>) {
        let asked = self.others.iter().rev().find_map(|action| match action {
            CopyAction::AskManifest { request, .. } => Some(*request),
            _ => None,
        });
        self.give(CopyEvent::Manifest {
            request: asked.unwrap(),
            reply,
        });
    }

    /// Ends the oldest fetch.
    fn end(&mut self, result: Result<(), Failure>) -> ChunkRef {
        let (fetch, chunk) = self.fetches.remove(0);
        self.give(CopyEvent::Fetched { fetch, result });
        chunk
    }

    fn wait(&mut self) {
        self.now = self.copy.deadline().unwrap();
        self.give(CopyEvent::Tick);
    }

    fn failure(&self) -> Option<(&Failure, Option<SnapshotId>)> {
        self.others.iter().find_map(|action| match action {
            CopyAction::Failed { failure, reject } => Some((failure, *reject)),
            _ => None,
        })
    }
}

fn settings() -> CopySettings {
    CopySettings {
        workers: 2,
        attempts_max: 3,
        retry: Retry::from_millis(100, 100),
        ..CopySettings::default()
    }
}

fn corrupt() -> Failure {
    Failure::new(ErrorKind::Corrupt("0.sst".into()), "chunk 0")
}

#[test]
fn a_copy_runs_from_manifest_to_installation() {
    let mut run = Run::fetching(settings(), &[2, 0, 1]);
    let mut chunks = Vec::new();
    while !run.fetches.is_empty() {
        assert!(run.fetches.len() <= 2, "no more than there are workers");
        chunks.push(run.end(Ok(())));
    }
    let all = [(0, 0), (0, 1), (2, 0)].map(|(file, chunk)| ChunkRef { file, chunk });
    assert_eq!(chunks, all);
    assert!(
        matches!(run.others[2..], [CopyAction::Release(SNAPSHOT), CopyAction::Sync]),
        "{:?}",
        run.others
    );
    assert_eq!(run.copy.progress().bytes_done, 3 * CHUNK);
    run.give(CopyEvent::Installed);
    run.give(CopyEvent::Synced);
    run.give(CopyEvent::Installed);
    assert!(
        matches!(run.others[4..], [CopyAction::Install(_), CopyAction::Done]),
        "{:?}",
        run.others
    );
    assert_eq!(
        (run.copy.deadline(), run.copy.progress().stage),
        (None, CopyStage::Ended)
    );
}

#[test]
fn what_is_there_already_is_not_fetched() {
    let mut run = Run::new(settings());
    run.answer(Ok(manifest(SNAPSHOT, &[3])));
    let verified = vec![ChunkRef { file: 0, chunk: 0 }, ChunkRef { file: 0, chunk: 2 }];
    // Room is needed for what is missing only.
    let free_bytes = CHUNK + settings().space_reserve_bytes;
    run.give(CopyEvent::Inspected { verified, free_bytes });
    assert_eq!(run.end(Ok(())), ChunkRef { file: 0, chunk: 1 });
    assert!(run.fetches.is_empty());
    assert!(matches!(run.others.last(), Some(CopyAction::Sync)));
}

#[test]
fn a_full_disk_is_seen_before_it_starts() {
    let mut run = Run::new(settings());
    run.answer(Ok(manifest(SNAPSHOT, &[3])));
    let free_bytes = 3 * CHUNK + settings().space_reserve_bytes - 1;
    run.give(CopyEvent::Inspected {
        verified: Vec::new(),
        free_bytes,
    });
    assert_eq!(run.failure().unwrap().0.kind, ErrorKind::NoSpace);
    assert!(run.fetches.is_empty());
}

#[test]
fn a_file_whose_attempts_are_used_up_ends_it_with_all_causes() {
    let mut run = Run::fetching(settings(), &[1]);
    run.end(Err(corrupt()));
    run.wait();
    run.end(Err(Failure::new(ErrorKind::PeerClosed, "reset")));
    run.wait();
    assert!(run.failure().is_none());
    run.end(Err(corrupt()));
    let (failure, reject) = run.failure().unwrap();
    assert_eq!(failure.kind, ErrorKind::Corrupt("0.sst".into()));
    let causes = "0.sst: attempt 1: 0.sst is corrupt: chunk 0; attempt 2: the peer closed the connection: reset; \
                  attempt 3: 0.sst is corrupt: chunk 0";
    assert_eq!(failure.cause, causes);
    assert_eq!(reject, Some(SNAPSHOT), "the next copy does not want this one");
    assert_eq!(run.copy.deadline(), None);
}

#[test]
fn attempts_count_by_file() {
    let mut run = Run::fetching(settings(), &[1, 1]);
    for _ in 0..2 {
        run.end(Err(corrupt()));
        run.end(Err(corrupt()));
        while run.fetches.len() < 2 {
            run.wait();
        }
    }
    run.end(Ok(()));
    run.end(Ok(()));
    assert!(run.failure().is_none());
    assert_eq!(run.copy.progress().failures, 4);
}

#[test]
fn what_fetching_again_cannot_cure_ends_it_at_once() {
    let kinds = [
        CopyRefusal::Gone.into(),
        CopyRefusal::UnknownSession.into(),
        CopyRefusal::NoSpace(String::new()).into(),
        Failure::new(ErrorKind::Io, ""),
        Failure::new(ErrorKind::AuthFailed, ""),
    ];
    for failure in kinds {
        let mut run = Run::fetching(settings(), &[4]);
        run.end(Err(failure.clone()));
        assert_eq!(run.failure().unwrap(), (&failure, None));
        assert!(run.fetches.is_empty(), "the other fetch is cancelled");
    }
}

#[test]
fn a_busy_source_is_asked_again_up_to_a_time() {
    let mut run = Run::new(settings());
    let start = run.now;
    let mut asked = 1;
    while run.failure().is_none() {
        run.answer(Err(CopyRefusal::Busy.into()));
        if run.failure().is_none() {
            run.wait();
            asked += 1;
        }
    }
    assert_eq!(run.now.since(start), settings().busy_timeout);
    assert_eq!(run.copy.progress().asked, asked);
    let mut run = Run::new(settings());
    run.answer(Err(CopyRefusal::Busy.into()));
    run.wait();
    run.answer(Ok(manifest(SNAPSHOT, &[1])));
    assert_eq!(run.copy.progress().stage, CopyStage::Inspecting);
}

#[test]
fn every_stage_has_a_deadline() {
    let mut asking = Run::new(settings());
    asking.wait();
    assert!(matches!(asking.failure().unwrap().0.kind, ErrorKind::Timeout("asking")));

    let to_the_end = |mut run: Run| {
        while run.failure().is_none() {
            run.wait();
        }
        run.failure().unwrap().0.kind.clone()
    };
    let mut inspecting = Run::new(settings());
    inspecting.answer(Ok(manifest(SNAPSHOT, &[1])));
    assert_eq!(to_the_end(inspecting), ErrorKind::Timeout("inspecting"));
    assert_eq!(
        to_the_end(Run::fetching(settings(), &[1])),
        ErrorKind::Timeout("fetching")
    );
    let mut syncing = Run::fetching(settings(), &[]);
    assert_eq!(syncing.copy.progress().stage, CopyStage::Syncing);
    syncing.give(CopyEvent::Tick);
    assert_eq!(to_the_end(syncing), ErrorKind::Timeout("syncing"));
    let mut installing = Run::fetching(settings(), &[]);
    installing.give(CopyEvent::Synced);
    assert_eq!(to_the_end(installing), ErrorKind::Timeout("installing"));
}

/// A link that brings one chunk in a minute.
#[test]
fn a_slow_link_gets_fewer_chunks_at_a_time_and_more_time() {
    let minute = Duration::from_secs(60);
    let slow = CopySettings {
        workers: 4,
        ..settings()
    };
    let mut run = Run::fetching(slow, &[4, 4]);
    let mut since = run.now;
    while run.copy.progress().stage == CopyStage::Fetching {
        let oldest = run.fetches.first().copied();
        match run.copy.deadline().unwrap() {
            // They share the link: the first is there when all have had their part of it.
            _ if oldest.is_some() && run.copy.deadline().unwrap() >= since + minute * run.fetches.len() as u32 => {
                run.now = since + minute * run.fetches.len() as u32;
                run.end(Ok(()));
                since = run.now;
            }
            _ => {
                run.wait();
                if run.fetches.first().copied() != oldest {
                    since = run.now;
                }
            }
        }
        assert!(run.failure().is_none(), "{:?}", run.failure());
    }
    assert_eq!(run.copy.progress().bytes_done, 8 * CHUNK);
}

#[test]
fn the_lease_is_renewed_while_chunks_are_slow() {
    let slow = CopySettings {
        chunk_timeout: Duration::from_secs(25),
        ..settings()
    };
    let mut run = Run::fetching(slow, &[1]);
    for _ in 0..2 {
        run.wait();
    }
    let renewals = run
        .others
        .iter()
        .filter(|action| matches!(action, CopyAction::Renew(SNAPSHOT)));
    assert_eq!(renewals.count(), 2);
}

#[test]
fn the_rate_is_kept_and_changes_at_once() {
    let second = Duration::from_secs(1);
    let throttled = CopySettings {
        workers: 4,
        bytes_per_second: Some(10 * CHUNK),
        ..settings()
    };
    let mut run = Run::fetching(throttled, &[1000]);
    let fetched_in = |run: &mut Run, span: Duration| {
        let (end, mut count) = (run.now + span, 0);
        loop {
            while !run.fetches.is_empty() {
                run.end(Ok(()));
                count += 1;
            }
            if run.copy.deadline().unwrap() >= end {
                run.now = end;
                return count;
            }
            run.wait();
        }
    };
    let slow = fetched_in(&mut run, 2 * second);
    assert!((19..=22).contains(&slow), "{slow}");
    let faster = CopySettings {
        workers: 4,
        bytes_per_second: Some(100 * CHUNK),
        ..settings()
    };
    run.copy.set_settings(run.now, faster);
    run.give(CopyEvent::Tick);
    let fast = fetched_in(&mut run, 2 * second);
    assert!((190..=215).contains(&fast), "{fast}");
    assert!(run.copy.progress().remaining().unwrap() > second);
}

#[test]
fn the_damaged_checkpoint_is_not_taken_again() {
    let now = Time::from_millis(0);
    let mut copy = Copy::new(settings(), Some(SNAPSHOT), now);
    let mut rng = Rng(1);
    let actions = copy.step(now, CopyEvent::Tick, &mut rng);
    let Some(CopyAction::AskManifest {
        request,
        reject: Some(SNAPSHOT),
    }) = actions.first()
    else {
        panic!("{actions:?}")
    };
    let reply = Ok(manifest(SNAPSHOT, &[1]));
    let actions = copy.step(
        now,
        CopyEvent::Manifest {
            request: *request,
            reply,
        },
        &mut rng,
    );
    let gone = |action: &CopyAction| matches!(action, CopyAction::Failed { failure, .. } if failure.kind == ErrorKind::CheckpointGone);
    assert!(actions.iter().any(gone), "{actions:?}");
}
