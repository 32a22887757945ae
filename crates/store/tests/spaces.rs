//! Databases become other keyspaces while those that are not needed any more are freed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use haypile_store::keys::MetaKey;
use haypile_store::{Cf, Counted, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::Position;

/// Keyspaces that are freed.
const ROUNDS: u64 = 20;
/// How often another thread has looked for keyspaces to free; beyond this it ends.
const END: u64 = u64::MAX / 2;

/// Tells the other thread to end, also when this one fails.
struct Ending<'a>(&'a AtomicU64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(END, Ordering::SeqCst);
    }
}

fn entry(store: &Store, overlay: &mut Overlay, index: &mut u64, write: impl FnOnce(&mut View<'_>)) {
    *index += 1;
    overlay.begin_turn();
    overlay.begin_entry(*index);
    write(&mut View::writing(&store.read(), overlay, Tier::Disk));
    overlay.end_entry().unwrap();
    store.apply_oldest(overlay, Position::new(1, *index), *index);
}

#[test]
fn what_a_database_has_become_is_not_lost_while_an_old_keyspace_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    let shared = SharedResources::new(8 << 20, 2 << 20);
    let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
    let (mut overlay, mut index) = (Overlay::new(), 0);
    let looks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while looks.load(Ordering::SeqCst) < END {
                store.drop_unmapped(u64::MAX).unwrap();
                looks.fetch_add(1, Ordering::SeqCst);
            }
        });
        let _ending = Ending(&looks);
        for _ in 0..ROUNDS {
            // It has something to be freed once it has been settled.
            let old = store.mapping()[0];
            entry(&store, &mut overlay, &mut index, |view| {
                view.put(old, Cf::Meta, b"0000k", b"v").unwrap();
            });
            store.settle().unwrap();
            entry(&store, &mut overlay, &mut index, |view| view.flush(0).unwrap());
            let looked = looks.load(Ordering::SeqCst);
            while looks.load(Ordering::SeqCst) < looked + 2 {
                let before = store.mapping();
                entry(&store, &mut overlay, &mut index, |view| view.swap(1, 2).unwrap());
                let after = store.mapping();
                assert_eq!((after[0], after[1], after[2]), (before[0], before[2], before[1]));
            }
        }
    });
}

#[test]
fn a_checkpoint_has_the_keyspaces_of_its_state_while_they_are_freed() {
    const KEYS: u8 = 20;
    const CHECKPOINTS: u32 = 40;
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let keys = || (0..KEYS).map(|n| [b"0000".as_slice(), &[n]].concat());
    let over = AtomicU64::new(0);
    let fill = |overlay: &mut Overlay, index: &mut u64| {
        // In each state the database has all keys.
        entry(&store, overlay, index, |view| {
            view.flush(0).unwrap();
            let (space, counted) = (view.space(0), Counted { keys: 1, expires: 0 });
            keys().for_each(|key| {
                view.put_row(&MetaKey::of_bytes(space, &key), b"row", b"", counted)
                    .unwrap()
            });
        });
        store.settle().unwrap();
    };
    let (mut overlay, mut index) = (Overlay::new(), 0);
    fill(&mut overlay, &mut index);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while over.load(Ordering::SeqCst) < END {
                fill(&mut overlay, &mut index);
                store.drop_unmapped(u64::MAX).unwrap();
            }
        });
        let _ending = Ending(&over);
        for n in 0..CHECKPOINTS {
            let path = copies.path().join(n.to_string());
            store.checkpoint(&path).unwrap();
            let copy = open(&path);
            let there = keys().filter(|key| value(&copy, key).is_some()).count();
            assert_eq!(there, usize::from(KEYS), "at {:?}", copy.applied());
            assert_eq!(copy.counts_of_database(0).keys, u64::from(KEYS));
        }
    });
}

/// What the disk has of a directory now: what a power failure would leave.
fn copy(from: &Path) -> tempfile::TempDir {
    loop {
        let to = tempfile::tempdir().unwrap();
        let before = manifests(from);
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            match std::fs::copy(file.path(), to.path().join(file.file_name())) {
                Ok(_) => {}
                // RocksDB removes files in the background that its manifest has let go of before.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{error}"),
            }
        }
        // A power failure takes a moment; what was copied while the manifest changed is from no moment.
        if manifests(from) == before {
            return to;
        }
    }
}

/// The names and lengths of the files that say which tables there are.
fn manifests(dir: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let files = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let manifests = files.filter(|file| file.file_name().to_string_lossy().starts_with("MANIFEST"));
    let mut all: Vec<_> = manifests
        .map(|file| (file.file_name(), file.metadata().unwrap().len()))
        .collect();
    all.sort();
    all
}

fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        databases: 2,
        ..StoreOptions::default()
    };
    Store::open(dir, options, SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

fn families(dir: &Path) -> Vec<String> {
    let mut names = rocksdb::DB::list_cf(&rocksdb::Options::default(), dir).unwrap();
    names.retain(|name| name != "default");
    names.sort();
    names
}

fn value(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    let found = view.get(view.space(0), Cf::Meta, key).unwrap();
    found.map(|value| value.to_vec())
}

/// Applies what is logged up to an index, as a start does: `settles` after each entry, or only at the end.
fn recover(store: &Store, log: &[Vec<u8>], until: u64, settles: bool) {
    for index in store.applied().index + 1..=until {
        store
            .replay(&log[index as usize - 1], Position::new(1, index), index)
            .unwrap();
        if settles {
            store.settle().unwrap();
        }
    }
    store.drop_unmapped(until).unwrap();
    store.settle().unwrap();
}

#[test]
fn a_power_failure_at_any_step_of_freeing_a_keyspace_takes_nothing_that_the_log_has_not_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (mut overlay, mut index, mut log) = (Overlay::new(), 0, Vec::new());
    let mut logged = |write: &dyn Fn(&mut View<'_>)| {
        index += 1;
        overlay.begin_turn();
        overlay.begin_entry(index);
        write(&mut View::writing(&store.read(), &mut overlay, Tier::Disk));
        overlay.end_entry().unwrap();
        log.extend(overlay.newest_entries().map(|(_, payload)| payload.to_vec()));
        store.apply_oldest(&mut overlay, Position::new(1, index), index);
    };
    let put = |key: &'static [u8]| {
        move |view: &mut View<'_>| {
            let counted = Counted { keys: 1, expires: 1 };
            view.put_row(&MetaKey::of_bytes(0, key), key, b"", counted).unwrap();
            for cf in [Cf::Data, Cf::Expiry] {
                view.put(0, cf, key, key).unwrap();
            }
        }
    };
    logged(&put(b"0000saved"));
    store.flush().unwrap();
    logged(&put(b"0000logged"));
    logged(&|view| view.flush(0).unwrap());
    let published = copy(dir.path());
    // The log has less on disk than the entry that empties the database.
    store.drop_unmapped(2).unwrap();
    let kept = copy(dir.path());
    store.drop_unmapped(3).unwrap();
    let freed = copy(dir.path());
    drop(store);
    let all = ["data.0", "expiry.0", "meta.0"];
    assert_eq!(families(kept.path()), all);
    assert_eq!(families(freed.path()), [""; 0]);

    for lost in [&published, &kept] {
        // What the log lost was never said to be on disk; the database has what it had before.
        let dir = copy(lost.path());
        let store = open(dir.path());
        recover(&store, &log, 2, true);
        assert_eq!(value(&store, b"0000saved").as_deref(), Some(&b"0000saved"[..]));
        assert_eq!(value(&store, b"0000logged").as_deref(), Some(&b"0000logged"[..]));
        assert_eq!(store.counts(0).keys, 2);
    }
    for freed_families in 0..=all.len() {
        // The column families are dropped one after another.
        for settles in [false, true] {
            let dir = copy(kept.path());
            let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), all).unwrap();
            for name in &all[..freed_families] {
                db.drop_cf(name).unwrap();
            }
            drop(db);
            is_empty_after_recovery(dir.path(), &log, settles);
        }
    }
    is_empty_after_recovery(freed.path(), &log, true);
}

fn is_empty_after_recovery(dir: &Path, log: &[Vec<u8>], settles: bool) {
    let store = open(dir);
    assert_eq!(store.applied().index, 1, "the disk has what is from before");
    recover(&store, log, 3, settles);
    assert_eq!(value(&store, b"0000saved"), None);
    assert_eq!(value(&store, b"0000logged"), None);
    assert_eq!(
        store
            .counts_of_databases()
            .iter()
            .map(|counts| counts.keys)
            .sum::<u64>(),
        0
    );
    store.flush().unwrap();
    drop(store);
    assert_eq!(families(dir), [""; 0], "nothing is left of it");
    assert_eq!(open(dir).applied().index, 3);
}
