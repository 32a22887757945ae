//! Counters of keys by slot: what was taken back does not count, and what is on disk goes with the state.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use haypile_store::keys::MetaKey;
use haypile_store::{Counted, Counts, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::{Position, slot_of};
use proptest::prelude::*;

/// Keys; some of them share a slot.
const KEYS: u16 = 40;

#[derive(Clone, Debug)]
enum Op {
    /// Keys are put where they are missing and deleted where they are not, in one entry.
    Toggle(u16, u16),
    TakenBack(u16),
    Abandoned(u16),
    Flush,
    Settle,
    Reopen,
    /// The disk has what was flushed; the log what came after.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..KEYS;
    prop_oneof![
        6 => (key.clone(), 1..20u16).prop_map(|(from, n)| Op::Toggle(from, n)),
        1 => key.clone().prop_map(Op::TakenBack),
        1 => key.prop_map(Op::Abandoned),
        1 => Just(Op::Flush),
        3 => Just(Op::Settle),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

fn key(n: u16) -> Vec<u8> {
    format!("{{{}}}{n}", n % (KEYS / 4)).into_bytes()
}

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

fn flip(keys: &mut BTreeSet<u16>, n: u16) {
    if !keys.remove(&n) {
        keys.insert(n);
    }
}

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
    overlay: Overlay,
    index: u64,
    log: Vec<Vec<u8>>,
    keys: BTreeSet<u16>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        World {
            store: Some(open(dir.path())),
            dir,
            overlay: Overlay::new(),
            index: 0,
            log: Vec::new(),
            keys: BTreeSet::new(),
        }
    }

    fn toggle(view: &mut View<'_>, n: u16, is_there: bool) {
        let key = MetaKey::new(view.space(0), &key(n));
        // Keys with odd numbers expire.
        let expires = (n % 2) as i8;
        let counted = |keys: i8| Counted {
            keys,
            expires: keys * expires,
        };
        match is_there {
            true => view.delete_row(&key, counted(-1)).unwrap(),
            false => view.put_row(&key, b"r", b"ow", counted(1)).unwrap(),
        }
    }

    fn entry(&mut self, write: impl FnOnce(&mut View<'_>)) {
        self.overlay.begin_turn();
        self.overlay.begin_entry(self.index + 1);
        write(&mut View::writing(
            &self.store.as_ref().unwrap().read(),
            &mut self.overlay,
            Tier::Disk,
        ));
    }

    fn publish(&mut self) {
        if self.overlay.end_entry().is_none() {
            return self.overlay.drop_empty_newest();
        }
        self.index += 1;
        self.log
            .extend(self.overlay.newest_entries().map(|(_, payload)| payload.to_vec()));
        let position = Position::new(1, self.index);
        self.store
            .as_ref()
            .unwrap()
            .apply_oldest(&mut self.overlay, position, 0);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Toggle(from, n) => {
                let mut keys = self.keys.clone();
                self.entry(|view| {
                    for n in (from..from + n).map(|n| n % KEYS) {
                        Self::toggle(view, n, keys.contains(&n));
                        flip(&mut keys, n);
                    }
                });
                self.keys = keys;
                self.publish();
            }
            Op::TakenBack(n) => {
                let is_there = self.keys.contains(&n);
                let other = (n + 1) % KEYS;
                let has_other = self.keys.contains(&other);
                self.entry(|view| Self::toggle(view, n, is_there));
                let savepoint = self.overlay.savepoint();
                let reading = self.store.as_ref().unwrap().read();
                let mut view = View::writing(&reading, &mut self.overlay, Tier::Disk);
                Self::toggle(&mut view, other, has_other);
                drop(reading);
                self.overlay.rollback(savepoint);
                flip(&mut self.keys, n);
                self.publish();
            }
            Op::Abandoned(n) => {
                let is_there = self.keys.contains(&n);
                self.entry(|view| Self::toggle(view, n, is_there));
                self.overlay.end_entry().unwrap();
                self.overlay.abandon_newest();
            }
            Op::Flush => {
                self.entry(|view| view.flush(0).unwrap());
                self.keys.clear();
                self.publish();
            }
            Op::Settle => self.store.as_ref().unwrap().settle().unwrap(),
            Op::Reopen => {
                self.store.as_ref().unwrap().flush().unwrap();
                self.restart();
                assert_eq!(self.store.as_ref().unwrap().applied().index, self.index);
            }
            Op::Crash => self.restart(),
        }
    }

    fn restart(&mut self) {
        self.store = None;
        let store = open(self.dir.path());
        for index in store.applied().index + 1..=self.index {
            let payload = &self.log[index as usize - 1];
            store.replay(payload, Position::new(1, index), 0).unwrap();
        }
        self.store = Some(store);
        self.overlay = Overlay::new();
    }

    fn check(&mut self) {
        let mut slots: BTreeMap<u16, Counts> = BTreeMap::new();
        for n in &self.keys {
            let counts = slots.entry(slot_of(&key(*n))).or_default();
            counts.keys += 1;
            counts.expires += u64::from(n % 2);
        }
        let sum = Counts {
            keys: self.keys.len() as u64,
            expires: self.keys.iter().filter(|n| **n % 2 == 1).count() as u64,
        };
        self.entry(|view| {
            let space = view.space(0);
            assert_eq!(view.counts(0), sum);
            for slot in (0..KEYS).map(|n| slot_of(&key(n))) {
                let expected = slots.get(&slot).copied().unwrap_or_default();
                assert_eq!(view.counts_of_slot(space, slot), expected, "slot {slot}");
            }
        });
        self.publish();
        assert_eq!(self.store.as_ref().unwrap().counts_of_databases()[0], sum);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn each_slot_has_its_keys(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
            world.check();
        }
        world.step(&Op::Reopen);
        world.check();
    }
}

#[test]
fn a_transaction_over_all_slots_counts_while_it_is_pending() {
    const ALL: u16 = 20_000;
    let mut world = World::new();
    world.entry(|view| {
        let space = view.space(0);
        for n in 0..ALL {
            let counted = Counted { keys: 1, expires: 0 };
            view.put_row(&MetaKey::new(space, &n.to_be_bytes()), b"row", b"", counted)
                .unwrap();
            assert_eq!(view.counts(0).keys, u64::from(n) + 1);
        }
    });
    world.publish();
    world.step(&Op::Reopen);
    let store = world.store.as_ref().unwrap();
    let of_slots: u64 = (0..haypile_types::SLOTS)
        .map(|slot| store.counts_of_slot(0, slot).keys)
        .sum();
    assert_eq!(of_slots, u64::from(ALL));
    assert_eq!(store.counts(0).keys, u64::from(ALL));
}

#[test]
fn who_reads_gets_the_counters_of_one_state() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut overlay) = (open(dir.path()), Overlay::new());
    let mut turn = |index: u64, write: &dyn Fn(&mut View<'_>)| {
        overlay.begin_turn();
        overlay.begin_entry(index);
        write(&mut View::writing(&store.read(), &mut overlay, Tier::Disk));
        overlay.end_entry().unwrap();
        store.apply_oldest(&mut overlay, Position::new(1, index), 0);
    };
    let fill = |view: &mut View<'_>, db: u16, keys: std::ops::Range<u16>| {
        let (space, counted) = (view.space(db), Counted { keys: 1, expires: 0 });
        for n in keys {
            let key = MetaKey::new(space, &key(n));
            view.put_row(&key, b"row", b"", counted).unwrap();
        }
    };
    turn(1, &|view| {
        fill(view, 0, 0..5);
        fill(view, 1, 0..2);
    });
    // What it reads was before the databases became others.
    let reading = store.read();
    let seen = |db| View::reading(&reading, Tier::Disk).counts(db).keys;
    assert_eq!((seen(0), seen(1)), (5, 2));
    turn(2, &|view| {
        view.flush(0).unwrap();
        fill(view, 0, 0..7);
    });
    assert_eq!(seen(0), 7, "the keyspace from before has no counters any more");
    turn(3, &|view| view.swap(0, 1).unwrap());
    // The keyspace that database 0 was is database 1, and gets keys that database 0 never had.
    turn(4, &|view| fill(view, 1, 7..9));
    assert_eq!((seen(0), seen(1)), (2, 9));
}
