//! Rows that are read together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use haypile_store::keys::meta_key;
use haypile_store::{Cf, Overlay, SharedResources, Store, StoreError, StoreOptions, Tier, View};
use haypile_types::Position;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(64 << 20, 16 << 20)).unwrap()
}

/// Publishes a turn that gives each of these keys `bytes` bytes of `fill`.
fn write(store: &Store, turn: u64, keys: impl Iterator<Item = u32>, fill: u8, bytes: usize) {
    let mut overlay = Overlay::new();
    overlay.begin_turn();
    overlay.begin_entry(turn);
    let reading = store.read();
    let mut view = View::writing(&reading, &mut overlay, Tier::Disk);
    let space = view.space(0);
    for key in keys {
        view.put(space, Cf::Meta, &meta_key(&name(key)), &vec![fill; bytes])
            .unwrap();
    }
    drop(reading);
    overlay.end_entry().unwrap();
    store.apply_oldest(&mut overlay, Position::new(1, turn), turn);
}

fn name(key: u32) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

/// What is told of each of these keys: the first byte of its row, or 0 for none.
fn fetch(store: &Store, keys: impl Iterator<Item = u32>) -> BTreeMap<u32, u8> {
    let keys: Vec<u32> = keys.collect();
    let names: Vec<Vec<u8>> = keys.iter().map(|key| name(*key)).collect();
    let mut told = BTreeMap::new();
    store.fetch(0, names.iter().map(Vec::as_slice), |number, row| {
        let before = told.insert(keys[number], row.map_or(0, |row| row[0]));
        assert_eq!(before, None, "each is told of once");
    });
    told
}

fn read_in_memory(store: &Store, key: u32) -> Result<Option<u8>, StoreError> {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Memory);
    let row = view.get(view.space(0), Cf::Meta, &meta_key(&name(key)))?;
    Ok(row.map(|row| row[0]))
}

#[test]
fn rows_that_were_fetched_are_in_memory_and_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 1, 0..200, b'a', 100);
    store.flush().unwrap();
    drop(store);
    let store = open(dir.path());
    write(&store, 2, (0..200).step_by(10), b'b', 100);
    assert!(
        matches!(read_in_memory(&store, 1), Err(StoreError::Cold)),
        "nothing is in memory that was not written"
    );
    // Keys that are not there among them, and more than are read at once.
    let told = fetch(&store, 0..300);
    for key in 0..300 {
        let row = match key {
            key if key < 200 && key % 10 == 0 => b'b',
            key if key < 200 => b'a',
            _ => 0,
        };
        assert_eq!(told.get(&key), Some(&row), "{key}");
        if row != 0 {
            assert_eq!(read_in_memory(&store, key).unwrap(), Some(row), "{key}");
        }
    }
    store.fetch(16_000, std::iter::once(&b"a"[..]), |_, _| {
        panic!("there is no such database")
    });
}

#[test]
fn large_rows_are_left_to_whoever_looks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 1, 0..64, b'a', 200 << 10);
    write(&store, 2, 64..128, b'a', 10);
    store.flush().unwrap();
    drop(store);
    let store = open(dir.path());
    let told = fetch(&store, 0..128);
    assert!((1..8).contains(&told.len()), "{} rows of 200 KiB were read", told.len());
    assert_eq!(fetch(&store, 64..128).len(), 64);
}
