//! The expiry index: what is put and deleted again before it is settled never reaches RocksDB, and nothing else is kept from it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use haypile_store::keys::{expiry_key, meta_key};
use haypile_store::{Cf, Direction, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::Position;
use proptest::prelude::*;

/// With so much memory; 16 KiB are so little that rows are forgotten soon after they are settled.
fn open(dir: &Path, bytes: usize) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(bytes, 8 << 20)).unwrap()
}

struct World {
    store: Store,
    overlay: Overlay,
    index: u64,
}

impl World {
    fn turn(&mut self, write: impl FnOnce(&mut View<'_>)) {
        self.index += 1;
        self.overlay.begin_turn();
        self.overlay.begin_entry(self.index);
        {
            let reading = self.store.read();
            write(&mut View::writing(&reading, &mut self.overlay, Tier::Disk));
        }
        self.overlay.end_entry().unwrap();
        self.store
            .apply_oldest(&mut self.overlay, Position::new(1, self.index), self.index);
    }

    fn put(&mut self, at: u64) {
        self.turn(|view| view.put(0, Cf::Expiry, &entry(at), &[]).unwrap());
    }

    fn delete(&mut self, at: u64) {
        self.turn(|view| view.delete(0, Cf::Expiry, &entry(at)).unwrap());
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        let reading = self.store.read();
        let mut view = View::reading(&reading, Tier::Disk);
        let mut scan = view.scan(0, Cf::Expiry, &[], None, Direction::Forward).unwrap();
        let mut entries = Vec::new();
        while let Some((entry, _)) = scan.next().unwrap() {
            entries.push(entry.to_vec());
        }
        entries
    }
}

fn entry(at: u64) -> Vec<u8> {
    expiry_key(at, &meta_key(b"k"))
}

#[test]
fn what_comes_and_goes_between_two_settles_is_not_settled() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World {
        store: open(dir.path(), 64 << 20),
        overlay: Overlay::new(),
        index: 0,
    };
    world.put(0);
    for at in 0..1000 {
        world.turn(|view| {
            view.delete(0, Cf::Expiry, &entry(at)).unwrap();
            view.put(0, Cf::Expiry, &entry(at + 1), &[]).unwrap();
        });
    }
    assert_eq!(world.store.unsettled_rows(), 1);
    assert_eq!(world.entries(), [entry(1000)]);
    world.store.settle().unwrap();
    assert_eq!(world.entries(), [entry(1000)]);
    world.delete(1000);
    assert_eq!(world.store.unsettled_rows(), 1, "RocksDB has it, and has to be told");
    world.store.settle().unwrap();
    assert_eq!(world.entries(), Vec::<Vec<u8>>::new());
}

#[derive(Clone, Debug)]
enum Act {
    /// Puts the entry if it is not there, or deletes it.
    Toggle(u64),
    /// Looks, which seals what is not settled.
    Look,
    Settle,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0u64..4).prop_map(Act::Toggle),
        1 => Just(Act::Look),
        1 => Just(Act::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_index_is_what_was_put_and_not_deleted(acts in prop::collection::vec(act(), 1..60), is_cached: bool) {
        let dir = tempfile::tempdir().unwrap();
        let bytes = if is_cached { 64 << 20 } else { 16 << 10 };
        let mut world = World { store: open(dir.path(), bytes), overlay: Overlay::new(), index: 0 };
        let mut there = std::collections::BTreeSet::new();
        // Enough others that a reader seals them instead of copying what it needs.
        for at in 100..130 {
            world.put(at);
            there.insert(at);
        }
        for act in acts.into_iter().chain([Act::Settle, Act::Look]) {
            match act {
                Act::Toggle(at) if there.insert(at) => world.put(at),
                Act::Toggle(at) => {
                    there.remove(&at);
                    world.delete(at);
                }
                Act::Look => {
                    let expected: Vec<_> = there.iter().map(|at| entry(*at)).collect();
                    prop_assert_eq!(world.entries(), expected);
                }
                Act::Settle => world.store.settle().unwrap(),
            }
        }
        drop(world);
        let world = World { store: open(dir.path(), 64 << 20), overlay: Overlay::new(), index: 0 };
        let expected: Vec<_> = there.iter().map(|at| entry(*at)).collect();
        prop_assert_eq!(world.entries(), expected);
    }
}
