//! Any bytes as a manifest: what is one leads nowhere but into its directory, its chunks are its files, and a copy of it can be
//! carried out to its end.

use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::sync::Arc;

use haypile_sync::copy::{Copy, CopyAction, CopyEvent, CopySettings, Manifest};
use haypile_sync::wire::v1;
use haypile_sync::{ErrorKind, Failure, Time};
use prost::Message;

use super::input::Input;
use super::messages::Rng;

/// Chunks of a manifest that is copied: more would take long and show no more.
const CHUNKS_MAX: usize = 2_000;

/// The first bytes are what happens to the copy, the others are the manifest.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let fates = input.take(8);
    let Ok(wire) = v1::Manifest::decode(input.rest()) else {
        return;
    };
    let Ok(manifest) = Manifest::try_from(wire) else {
        return;
    };
    let again = v1::Manifest::decode(v1::Manifest::from(&manifest).encode_to_vec().as_slice()).unwrap();
    assert_eq!(Manifest::try_from(again).as_ref(), Ok(&manifest));
    check(&manifest);
    if manifest.chunks().count() <= CHUNKS_MAX {
        copy(&Arc::new(manifest), fates);
    }
}

fn check(manifest: &Manifest) {
    let mut names = BTreeSet::new();
    for file in manifest.files() {
        let path = Path::new(&file.name);
        assert_eq!(path.components().count(), 1, "{path:?}");
        assert!(
            path.components().all(|part| matches!(part, Component::Normal(_))),
            "{path:?}"
        );
        assert!(names.insert(&file.name), "{path:?} twice");
    }
    let mut ends = vec![0u64; manifest.files().len()];
    for chunk in manifest.chunks() {
        let (offset, length) = manifest.range(chunk).unwrap();
        let end = &mut ends[chunk.file as usize];
        assert_eq!(*end, offset, "chunks follow each other");
        assert!(length > 0 && length <= manifest.chunk_bytes());
        *end += u64::from(length);
    }
    let sizes: Vec<u64> = manifest.files().iter().map(|file| file.size).collect();
    assert_eq!(ends, sizes, "the chunks are the files");
    assert_eq!(sizes.iter().sum::<u64>(), manifest.total_bytes());
    assert_eq!(
        manifest.history().position_of(manifest.position().index),
        Some(manifest.position())
    );
    // What is done with it when it is installed: an empty log begins after it, and whoever is promoted goes on in another epoch.
    let next = manifest.position().index.checked_add(1).unwrap();
    assert!(manifest.history().up_to(next).epochs().len() == manifest.history().epochs().len());
    let epoch = manifest
        .history()
        .clone()
        .begin(haypile_sync::EpochId(u128::MAX), next - 1);
    assert_eq!(epoch.first_index, next);
}

/// Carries a copy out. A fate says how a fetch ends; the first ones may fail.
fn copy(manifest: &Arc<Manifest>, fates: &[u8]) {
    let (mut now, mut rng) = (0, Rng(7));
    let mut copy = Copy::new(CopySettings::default(), None, Time::default());
    let mut events = vec![CopyEvent::Tick];
    let mut fates = fates.iter().copied();
    let mut here = BTreeSet::new();
    let (mut synced, mut over) = (false, false);
    for _ in 0..CHUNKS_MAX * 8 {
        let Some(event) = events.pop() else {
            let Some(deadline) = copy.deadline() else { break };
            now = now.max(deadline.since(Time::default()).as_millis() as u64 + 1);
            events.push(CopyEvent::Tick);
            continue;
        };
        now += 1;
        for action in copy.step(Time::from_millis(now), event, &mut rng) {
            assert!(!over, "after the end: {action:?}");
            match action {
                CopyAction::AskManifest { request, .. } => events.push(CopyEvent::Manifest {
                    request,
                    reply: Ok(Arc::clone(manifest)),
                }),
                CopyAction::Inspect(_) => {
                    let fate = fates.next().unwrap_or(0);
                    let verified: Vec<_> = manifest
                        .chunks()
                        .filter(|chunk| chunk.chunk % 7 == u32::from(fate))
                        .collect();
                    here.extend(verified.iter().copied());
                    events.push(CopyEvent::Inspected {
                        verified,
                        free_bytes: if fate == 255 { 0 } else { u64::MAX },
                    });
                }
                CopyAction::Fetch { fetch, chunk } => {
                    assert!(manifest.range(chunk).is_some() && !here.contains(&chunk), "{chunk:?}");
                    let result = match fates.next().unwrap_or(0) % 8 {
                        6 => Err(Failure::new(ErrorKind::PeerClosed, "")),
                        7 => Err(Failure::new(ErrorKind::Corrupt("x".into()), "")),
                        _ => {
                            here.insert(chunk);
                            Ok(())
                        }
                    };
                    events.insert(0, CopyEvent::Fetched { fetch, result });
                }
                CopyAction::Sync => {
                    let all: BTreeSet<_> = manifest.chunks().collect();
                    assert_eq!(here, all, "nothing is installed that is not all there");
                    synced = true;
                    events.push(CopyEvent::Synced);
                }
                CopyAction::Install(_) => {
                    assert!(synced);
                    events.push(CopyEvent::Installed);
                }
                CopyAction::Done | CopyAction::Failed { .. } => over = true,
                CopyAction::Cancel { .. } | CopyAction::Renew(_) | CopyAction::Release(_) | CopyAction::Progress(_) => {
                }
            }
        }
    }
    assert!(over, "the copy does not end: {copy:?}");
}
