//! Random work against a model: whatever is pending, published, settled or on disk, reads see the newest.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use haypile_store::keys::{Home, IdState};
use haypile_store::{Cf, Direction, Overlay, SharedResources, Store, StoreError, StoreOptions, Tier, View};
use haypile_types::Position;
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const KEYS: u8 = 24;

const HOME: Home = Home { slot: 5, id: 7 };

/// Elements of one collection, so that what the writer knows of it comes into play.
fn key(n: u8) -> Vec<u8> {
    HOME.element(&[n])
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Delete(u8),
    /// Put in an entry that is then taken back.
    TakenBack(u8, u8),
    /// Log could not be written: the newest turn never was.
    AbandonAfter(u8, u8),
    Flush,
    EndTurn,
    Apply,
    Settle,
    FlushToDisk,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0u8..KEYS, any::<u8>()).prop_map(|(k, v)| Op::Put(k, v)),
        6 => (0u8..KEYS).prop_map(Op::Delete),
        2 => (0u8..KEYS, any::<u8>()).prop_map(|(k, v)| Op::TakenBack(k, v)),
        1 => (0u8..KEYS, any::<u8>()).prop_map(|(k, v)| Op::AbandonAfter(k, v)),
        1 => Just(Op::Flush),
        4 => Just(Op::EndTurn),
        3 => Just(Op::Apply),
        2 => Just(Op::Settle),
        1 => Just(Op::FlushToDisk),
        1 => Just(Op::Reopen),
    ]
}

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
    overlay: Overlay,
    /// Turns that are appended and not published: their last index.
    pending: Vec<u64>,
    index: u64,
    /// What the writer sees, and what readers see after each published turn.
    model: Model,
    published: Model,
    after_turn: Vec<Model>,
}

fn open(dir: &std::path::Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut overlay = Overlay::new();
        overlay.begin_turn();
        let mut world = World {
            store: Some(open(dir.path())),
            dir,
            overlay,
            pending: Vec::new(),
            index: 0,
            model: Model::new(),
            published: Model::new(),
            after_turn: Vec::new(),
        };
        world.entry(true, Self::put_record);
        world
    }

    /// The collection's record: without it compactions would collect its elements.
    fn put_record(view: &mut View<'_>) {
        let space = view.space(0);
        view.put(space, Cf::Data, &HOME.record(), &IdState::Live.encode())
            .unwrap();
    }

    fn entry(&mut self, keep: bool, body: impl FnOnce(&mut View<'_>)) {
        self.overlay.begin_entry(self.index + 1);
        let savepoint = self.overlay.savepoint();
        body(&mut View::writing(
            &self.store.as_ref().unwrap().read(),
            &mut self.overlay,
            Tier::Disk,
        ));
        if !keep {
            self.overlay.rollback(savepoint);
        }
        if self.overlay.end_entry().is_some() {
            self.index += 1;
        }
    }

    fn put(view: &mut View<'_>, key: u8, value: Option<u8>) {
        let space = view.space(0);
        match value {
            Some(value) => view.put(space, Cf::Data, &self::key(key), &[value]).unwrap(),
            None => view.delete(space, Cf::Data, &self::key(key)).unwrap(),
        }
    }

    fn end_turn(&mut self) {
        if self.overlay.newest_entries().next().is_some() {
            self.pending.push(self.index);
            self.after_turn.push(self.model.clone());
            self.overlay.begin_turn();
        }
    }

    fn apply(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let index = self.pending.remove(0);
        let store = self.store.as_ref().unwrap();
        store.apply_oldest(&mut self.overlay, Position::new(1, index), 0);
        store.drop_unmapped(u64::MAX).unwrap();
        self.published = self.after_turn.remove(0);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Put(k, v) => {
                self.entry(true, |view| Self::put(view, k, Some(v)));
                self.model.insert(key(k), vec![v]);
            }
            Op::Delete(k) => {
                self.entry(true, |view| Self::put(view, k, None));
                self.model.remove(&key(k));
            }
            Op::TakenBack(k, v) => self.entry(false, |view| {
                Self::put(view, k, Some(v));
                Self::put(view, k, None);
                Self::put(view, k ^ 1, Some(v));
            }),
            Op::AbandonAfter(k, v) => {
                self.end_turn();
                let before = self.index;
                self.entry(true, |view| {
                    Self::put(view, k, Some(v));
                    Self::put(view, k ^ 1, None);
                });
                self.overlay.abandon_newest();
                self.overlay.begin_turn();
                self.index = before;
            }
            Op::Flush => {
                self.entry(true, |view| {
                    view.flush(0).unwrap();
                    Self::put_record(view);
                });
                self.model.clear();
            }
            Op::EndTurn => self.end_turn(),
            Op::Apply => self.apply(),
            Op::Settle => self.store.as_ref().unwrap().settle().unwrap(),
            Op::FlushToDisk => self.store.as_ref().unwrap().flush().unwrap(),
            Op::Reopen => {
                self.end_turn();
                while !self.pending.is_empty() {
                    self.apply();
                }
                self.store.as_ref().unwrap().flush().unwrap();
                self.store = None;
                self.store = Some(open(self.dir.path()));
                self.overlay = Overlay::new();
                self.overlay.begin_turn();
            }
        }
    }

    fn check(&mut self) {
        let store = self.store.as_ref().unwrap();
        let (newest, pinned) = (store.read(), store.pin());
        for mut reading in [View::reading(&newest, Tier::Disk), View::pinned(&pinned, Tier::Disk)] {
            assert_points(&reading, &self.published);
            assert_jumps(&mut reading, &self.published);
            assert_eq!(all(&mut reading, Direction::Forward), self.published);
            assert_eq!(all(&mut reading, Direction::Reverse), self.published);
        }
        self.overlay.begin_entry(self.index + 1);
        let mut writing = View::writing(&newest, &mut self.overlay, Tier::Disk);
        assert_points(&writing, &self.model);
        assert_jumps(&mut writing, &self.model);
        assert_eq!(all(&mut writing, Direction::Forward), self.model);
        assert_eq!(all(&mut writing, Direction::Reverse), self.model);
    }
}

fn all(view: &mut View<'_>, direction: Direction) -> Model {
    let space = view.space(0);
    let (first, end) = (HOME.first(), HOME.end());
    let mut scan = view.scan(space, Cf::Data, &first, Some(&end), direction).unwrap();
    let mut found = Vec::new();
    while let Some((key, value)) = scan.next().unwrap() {
        found.push((key.to_vec(), value.to_vec()));
    }
    let sorted = found
        .windows(2)
        .all(|w| (w[0].0 < w[1].0) == (direction == Direction::Forward));
    assert!(sorted, "out of order: {found:?}");
    found.into_iter().collect()
}

fn assert_points(view: &View<'_>, model: &Model) {
    let space = view.space(0);
    for n in 0..=KEYS {
        let got = view.get(space, Cf::Data, &key(n)).unwrap().map(|v| v.to_vec());
        assert_eq!(got.as_ref(), model.get(&key(n)), "key {n}");
    }
    let mut found = Vec::new();
    let keys = (0..=KEYS).rev().map(key);
    view.get_each(space, Cf::Data, keys.clone(), |value, _| {
        found.push(value.map(<[u8]>::to_vec));
        Ok::<_, StoreError>(found.len() < usize::from(KEYS))
    })
    .unwrap();
    let expected = keys.take(found.len()).map(|key| model.get(&key).cloned());
    assert_eq!(found.len(), usize::from(KEYS));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// From many places, in an order that goes back and forth, up to a near key or to the end.
fn assert_jumps(view: &mut View<'_>, model: &Model) {
    let space = view.space(0);
    let (first, end) = (HOME.first(), HOME.end());
    let mut jumps = view.jumps(space, &first, &end).unwrap();
    for n in (0..KEYS).map(|n| n * 7 % KEYS) {
        let until = match n % 3 {
            0 => end.to_vec(),
            _ => key((n + n % 11).min(KEYS)),
        };
        jumps.to(&key(n), &until);
        let left_behind = usize::from(n % 2) * 3;
        let mut expected = model.range(key(n)..until.clone());
        let count = expected.clone().count().saturating_sub(left_behind);
        for (k, v) in expected.by_ref().take(count) {
            assert_eq!(jumps.next().unwrap(), Some((&k[..], &v[..])), "from {n}");
        }
        if left_behind == 0 {
            assert_eq!(jumps.next().unwrap(), None, "from {n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn reads_see_the_newest(ops in prop::collection::vec(op(), 1..150)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
            if !matches!(op, Op::Put(..)) {
                world.check();
            }
        }
        world.check();
    }
}
