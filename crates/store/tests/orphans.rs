//! Compactions remove the elements of collections that are gone, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use haypile_store::keys::{Home, IdState};
use haypile_store::{Cf, Direction, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::Position;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

/// Publishes an entry.
fn entry<R>(store: &Store, index: u64, write: impl FnOnce(&mut View<'_>) -> R) -> R {
    let mut overlay = Overlay::new();
    overlay.begin_turn();
    overlay.begin_entry(index);
    let done = write(&mut View::writing(&store.read(), &mut overlay, Tier::Disk));
    overlay.end_entry().unwrap();
    store.apply_oldest(&mut overlay, Position::new(1, index), 0);
    done
}

fn put_record(view: &mut View<'_>, home: Home, state: IdState) {
    view.put(0, Cf::Data, &home.record(), &state.encode()).unwrap();
}

fn put_elements(view: &mut View<'_>, home: Home) {
    for n in 0..10u8 {
        view.put(0, Cf::Data, &home.element(&[n]), b"value").unwrap();
    }
}

fn elements(view: &mut View<'_>, home: Home) -> usize {
    let (first, end) = (home.first(), home.end());
    let mut scan = view.scan(0, Cf::Data, &first, Some(&end), Direction::Forward).unwrap();
    let mut count = 0;
    while scan.next().unwrap().is_some() {
        count += 1;
    }
    count
}

fn elements_now(store: &Store, home: Home) -> usize {
    let reading = store.read();
    elements(&mut View::reading(&reading, Tier::Disk), home)
}

#[test]
fn elements_stay_as_long_as_there_is_a_record_that_anybody_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let [live, building, deleted, none] = entry(&store, 1, |view| {
        let homes = [0; 4].map(|_| Home {
            slot: 9,
            id: view.new_id().unwrap(),
        });
        put_record(view, homes[0], IdState::Live);
        put_record(view, homes[1], IdState::Building);
        put_record(view, homes[2], IdState::Live);
        homes.iter().for_each(|home| put_elements(view, *home));
        homes
    });
    store.compact().unwrap();
    let all = |store: &Store| [live, building, deleted, none].map(|home| elements_now(store, home));
    // What nobody has made a record of is no collection.
    assert_eq!(all(&store), [10, 10, 10, 0]);

    let pinned = store.pin();
    entry(&store, 2, |view| view.delete(0, Cf::Data, &deleted.record()).unwrap());
    store.settle().unwrap();
    store.compact().unwrap();
    let mut before = View::pinned(&pinned, Tier::Disk);
    assert_eq!(
        elements(&mut before, deleted),
        10,
        "it was there when the state was pinned"
    );
    drop(pinned);
    entry(&store, 3, |view| view.delete(0, Cf::Data, &building.record()).unwrap());
    store.compact().unwrap();
    assert_eq!(all(&store), [10, 0, 0, 0]);
}

#[test]
fn what_is_newer_than_what_the_disk_says_of_itself_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let gone = entry(&store, 1, |view| {
        let id = view.new_id().unwrap();
        let home = Home { slot: 9, id };
        put_elements(view, home);
        home
    });
    store.flush().unwrap();
    drop(store);
    // As if elements had come to the disk before their record and before the state that has them.
    let newer = Home {
        slot: 9,
        id: gone.id + (1 << 20),
    };
    let families = ["default", "data.0"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), families).unwrap();
    let data = db.cf_handle("data.0").unwrap();
    for n in 0..10u8 {
        db.put_cf(&data, newer.element(&[n]), b"value").unwrap();
    }
    db.flush_cf(&data).unwrap();
    drop(data);
    drop(db);
    let store = open(dir.path());
    store.compact().unwrap();
    assert_eq!(elements_now(&store, gone), 0);
    assert_eq!(elements_now(&store, newer), 10);
    // Once the disk has what comes after, they are no more than others.
    for index in 2..4 {
        entry(&store, index, |view| view.put(0, Cf::Meta, b"0000k", b"row").unwrap());
    }
    store.settle().unwrap();
    store.compact().unwrap();
    store.compact().unwrap();
    assert_eq!(elements_now(&store, newer), 0);
}
