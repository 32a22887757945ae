//! Databases become other keyspaces while those that are not needed any more are freed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_store::{Cf, Overlay, SharedResources, Store, StoreOptions, Tier, View};
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
                store.drop_unmapped().unwrap();
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
