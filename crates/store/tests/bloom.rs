//! Memtables into which much is written have Bloom filters, and get them without a family being on disk ahead of the others.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use haypile_store::{Cf, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::Position;

/// More rows than those from which on a memtable has one.
const MANY: u64 = 40 << 10;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(64 << 20, 64 << 20)).unwrap()
}

/// Publishes a turn that writes so many rows to the families, and settles it.
fn write(store: &Store, overlay: &mut Overlay, families: &[Cf], rows: u64) {
    let index = store.applied().index + 1;
    overlay.begin_turn();
    overlay.begin_entry(index);
    let reading = store.read();
    for row in 0..rows {
        let mut view = View::writing(&reading, overlay, Tier::Disk);
        for cf in families {
            view.put(0, *cf, format!("0000{row}").as_bytes(), &index.to_be_bytes())
                .unwrap();
        }
    }
    drop(reading);
    overlay.end_entry().unwrap();
    store.apply_oldest(overlay, Position::new(1, index), index);
    store.settle().unwrap();
}

/// Whether the next memtables of a family have filters, as RocksDB has noted.
fn is_filtered(dir: &Path, family: &str) -> bool {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let newest = names.filter(|name| name.starts_with("OPTIONS-")).max().unwrap();
    let options = std::fs::read_to_string(dir.join(newest)).unwrap();
    let (_, of_family) = options.split_once(&format!("[CFOptions \"{family}\"]")).unwrap();
    let (_, ratio) = of_family.split_once("memtable_prefix_bloom_size_ratio=").unwrap();
    ratio.split_whitespace().next().unwrap().parse::<f64>().unwrap() > 0.0
}

#[test]
fn a_family_that_begins_with_many_rows_has_a_filter_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut overlay) = (open(dir.path()), Overlay::new());
    write(&store, &mut overlay, &[Cf::Meta], MANY);
    write(&store, &mut overlay, &[Cf::Data], 1);
    assert!(is_filtered(dir.path(), "meta.0"));
    assert!(!is_filtered(dir.path(), "data.0"));
    assert_eq!(store.persisted().unwrap(), Position::ZERO, "nothing had to be flushed");
}

#[test]
fn a_family_that_grows_gets_a_filter_and_all_are_flushed_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut overlay) = (open(dir.path()), Overlay::new());
    write(&store, &mut overlay, &[Cf::Meta, Cf::Data], 1);
    assert!(!is_filtered(dir.path(), "meta.0"));
    write(&store, &mut overlay, &[Cf::Meta], MANY);
    assert!(is_filtered(dir.path(), "meta.0"));
    assert!(!is_filtered(dir.path(), "data.0"));
    // The flush is not waited for; this one comes after it.
    store.flush().unwrap();
    assert_eq!(store.persisted().unwrap().index, 2);
    assert_eq!(store.stats().level0_files, 2, "meta and data, each once");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.applied().index, 2);
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    assert!(view.get(0, Cf::Data, b"00000").unwrap().is_some());
    assert!(
        view.get(0, Cf::Meta, format!("0000{}", MANY - 1).as_bytes())
            .unwrap()
            .is_some()
    );
}
