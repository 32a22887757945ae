//! Readers beside a writer that publishes, settles, flushes and compacts: each reads one state, for as long as it likes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use haypile_store::keys::{Home, IdState, meta_key};
use haypile_store::row::{Header, Kind, Spread};
use haypile_store::{Cf, Direction, Overlay, SharedResources, Store, StoreError, StoreOptions, Tier, View};
use haypile_types::Position;

/// Rows that each turn writes, of each kind.
const ROWS: u32 = 40;
const TURNS: u64 = 400;

struct World {
    _dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new(budget: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedResources::new(budget, 2 << 20);
        let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
        World { _dir: dir, store }
    }

    /// Publishes turn `n`: every value is `n`. The collection is a new one each time, with other elements.
    fn turn(&self, n: u64, value_bytes: usize) {
        let mut overlay = Overlay::new();
        overlay.begin_turn();
        overlay.begin_entry(n);
        let reading = self.store.read();
        let mut view = View::writing(&reading, &mut overlay, Tier::Disk);
        if n.is_multiple_of(7) {
            view.flush(0).unwrap();
        }
        let space = view.space(0);
        if let Some(row) = view.get(space, Cf::Meta, &meta_key(b"h")).unwrap() {
            let before = Header::read(&row).unwrap().0.home.unwrap();
            drop(row);
            view.delete(space, Cf::Data, &before.record()).unwrap();
        }
        let home = Home {
            slot: 1,
            id: view.new_id().unwrap(),
        };
        let mut row = Vec::new();
        let header = Header {
            kind: Kind::Hash,
            expire_at: None,
            packed: false,
            home: Some(home),
        };
        header.write(&mut row);
        let size = ROWS.into();
        row.extend_from_slice(&Spread { size, head: 0 }.bytes(Kind::Hash));
        view.put(space, Cf::Data, &home.record(), &IdState::Live.encode())
            .unwrap();
        view.put(space, Cf::Meta, &meta_key(b"h"), &row).unwrap();
        let value = [n.to_le_bytes().to_vec(), vec![0; value_bytes]].concat();
        for at in 0..ROWS {
            let element = home.element(&at.to_be_bytes());
            view.put(space, Cf::Data, &element, &value).unwrap();
            view.put(space, Cf::Meta, &meta_key(format!("k{at}").as_bytes()), &value)
                .unwrap();
        }
        drop(reading);
        overlay.end_entry().unwrap();
        self.store.apply_oldest(&mut overlay, Position::new(1, n), n);
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().unwrap())
}

/// The turn that a view sees; everything in it must be of that turn. Stops half-way through if it is told to end.
fn seen(view: &mut View<'_>) -> Result<u64, StoreError> {
    let space = view.space(0);
    let Some(row) = view.get(space, Cf::Meta, &meta_key(b"h"))? else {
        return Ok(0);
    };
    let home = Header::read(&row).unwrap().0.home.unwrap();
    let mut turn = None;
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut scan = view.scan(space, Cf::Data, &home.first(), Some(&home.end()), direction)?;
        let mut count = 0;
        while let Some((_, value)) = scan.next()? {
            count += 1;
            assert_eq!(
                *turn.get_or_insert(number(value)),
                number(value),
                "elements of several turns"
            );
        }
        assert_eq!(count, ROWS, "elements of turn {turn:?}");
    }
    for at in 0..ROWS {
        let value = view.get(space, Cf::Meta, &meta_key(format!("k{at}").as_bytes()))?;
        assert_eq!(value.map(|value| number(&value)), turn, "k{at}");
    }
    Ok(turn.unwrap())
}

#[test]
fn each_reader_sees_one_turn_and_time_does_not_run_backwards() {
    let world = World::new(16 << 20);
    let (visible, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let at_least = visible.load(Ordering::Acquire).max(last);
                    let newest = world.store.read();
                    match seen(&mut View::reading(&newest, Tier::Disk)) {
                        Ok(turn) => last = turn,
                        // Another test's store, which shares the eras, has asked all readers to end.
                        Err(StoreError::GivenUp) => continue,
                        Err(error) => panic!("{error}"),
                    }
                    assert!(last >= at_least, "turn {last} after {at_least}");
                    drop(newest);
                    let pinned = world.store.pin();
                    let mut view = View::pinned(&pinned, Tier::Disk);
                    let first = seen(&mut view).unwrap();
                    assert!(first >= last);
                    last = first;
                    for _ in 0..3 {
                        assert_eq!(seen(&mut view).unwrap(), first, "a pinned state stays");
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                world.store.settle().unwrap();
                world.store.drop_unmapped(u64::MAX).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                world.store.compact().unwrap();
            }
        });
        for n in 1..=TURNS {
            world.turn(n, 16);
            visible.store(n, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_pinned_state_stays_while_everything_is_replaced_settled_and_compacted() {
    let world = World::new(16 << 20);
    world.turn(1, 0);
    let unsettled = world.store.pin();
    world.turn(2, 0);
    world.store.settle().unwrap();
    let settled = world.store.pin();
    world.turn(3, 0);
    for n in 4..30 {
        world.turn(n, 0);
        world.store.flush().unwrap();
        world.store.drop_unmapped(u64::MAX).unwrap();
        world.store.compact().unwrap();
        assert_eq!(seen(&mut View::pinned(&unsettled, Tier::Disk)).unwrap(), 1);
        assert_eq!(seen(&mut View::pinned(&settled, Tier::Disk)).unwrap(), 2);
    }
}

#[test]
fn a_reader_that_keeps_too_much_is_told_to_end_and_the_memory_is_free_then() {
    const VALUE: usize = 64 << 10;
    let world = World::new(16 << 20);
    world.turn(1, VALUE);
    let reading = world.store.read();
    let mut view = View::reading(&reading, Tier::Disk);
    assert_eq!(seen(&mut view).unwrap(), 1);
    let mut n = 1;
    let error = loop {
        n += 1;
        world.turn(n, VALUE);
        match seen(&mut view) {
            Ok(turn) => assert_eq!(turn, 1),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::GivenUp), "{error}");
    let kept = world.store.retained_bytes();
    let may_keep = haypile_store::Budget::new(16 << 20, 2 << 20).kept_bytes;
    assert!(kept > may_keep, "{kept} bytes are no reason");
    drop(reading);
    // Readers of other tests' stores may keep it for a while.
    while world.store.retained_bytes() > kept / 4 {
        n += 1;
        world.turn(n, VALUE);
    }
}
