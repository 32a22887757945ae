//! Patches in the log: what becomes of the rows that they are about.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use haypile_store::keys::{meta_key, write_varint};
use haypile_store::packed::{HashPatch, ListPatch, PackedHash, write_hash};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, ErrorKind, SharedResources, Store, StoreError, StoreOptions, Tier, View};
use haypile_types::Position;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const PATCH: u8 = 11;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put(row: &[u8]) -> Vec<u8> {
    let mut out = vec![PUT, 0, Cf::Meta as u8];
    blob(&mut out, &meta_key(b"k"));
    blob(&mut out, row);
    out
}

fn delete() -> Vec<u8> {
    let mut out = vec![DELETE, 0, Cf::Meta as u8];
    blob(&mut out, &meta_key(b"k"));
    out
}

fn patch(patch: &[u8]) -> Vec<u8> {
    let mut out = vec![PATCH, 0];
    blob(&mut out, &meta_key(b"k"));
    blob(&mut out, patch);
    out
}

/// A patch that gives a field a value.
fn set(field: &str, value: &str) -> Vec<u8> {
    let (mut set, mut out) = (HashPatch::default(), Vec::new());
    set.set(field.as_bytes(), value.as_bytes());
    set.write(&mut out);
    patch(&out)
}

fn hash(expire_at: Option<u64>, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut row = Vec::new();
    let header = Header {
        kind: Kind::Hash,
        expire_at,
        packed: true,
    };
    header.write(&mut row);
    let fields = fields.iter().map(|(field, value)| (field.as_bytes(), value.as_bytes()));
    write_hash(&mut row, fields.len(), fields);
    row
}

fn row(store: &Store) -> Option<Vec<u8>> {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    let row = view.get(view.space(0), Cf::Meta, &meta_key(b"k")).unwrap();
    row.map(|row| row.to_vec())
}

/// Publishes an entry at this log index.
fn replay(store: &Store, index: u64, payload: &[u8]) -> Result<(), StoreError> {
    store.replay(payload, Position::new(1, index), 0).map(drop)
}

#[test]
fn a_row_is_what_its_patches_make_it_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let at = Some(5_000_000_000_000);
    let steps: &[(Vec<u8>, Option<Vec<u8>>)] = &[
        (put(&hash(at, &[("a", "1")])), Some(hash(at, &[("a", "1")]))),
        (set("b", "2"), Some(hash(at, &[("a", "1"), ("b", "2")]))),
        (
            [set("a", "3"), set("c", "")].concat(),
            Some(hash(at, &[("a", "3"), ("b", "2"), ("c", "")])),
        ),
        (delete(), None),
        (set("d", "4"), Some(hash(None, &[("d", "4")]))),
        (
            [put(&hash(at, &[])), set("e", "5")].concat(),
            Some(hash(at, &[("e", "5")])),
        ),
    ];
    // The row is dirty, in a memtable, in a table, and in no cache when it is patched.
    let between: [fn(Store, &Path) -> Store; 4] = [
        |store, _| store,
        |store, _| {
            store.settle().unwrap();
            store
        },
        |store, _| {
            store.flush().unwrap();
            store
        },
        |store, path| {
            store.flush().unwrap();
            drop(store);
            open(path)
        },
    ];
    for (round, between) in between.into_iter().enumerate() {
        for (step, (payload, expected)) in steps.iter().enumerate() {
            let index = (round * steps.len() + step + 1) as u64;
            replay(&store, index, payload).unwrap();
            assert_eq!(row(&store), *expected, "step {step} of round {round}");
            store = between(store, dir.path());
            assert_eq!(row(&store), *expected, "after step {step} of round {round}");
        }
    }
    store.compact().unwrap();
    let last = row(&store).unwrap();
    let (header, length) = Header::read(&last).unwrap();
    assert_eq!((header.kind, header.expire_at), (Kind::Hash, at));
    let packed = PackedHash::read(&last[length..]).unwrap();
    assert_eq!(packed.get(b"e"), Ok(Some(&b"5"[..])));
}

#[test]
fn replaying_patches_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let payload = [put(&hash(None, &[("a", "1")])), set("b", "2"), set("a", "3")].concat();
    let expected = Some(hash(None, &[("a", "3"), ("b", "2")]));
    for index in 1..4 {
        replay(&store, index, &payload).unwrap();
        assert_eq!(row(&store), expected);
        replay(&store, index, &[set("b", "2"), set("a", "3")].concat()).unwrap();
        assert_eq!(row(&store), expected);
        store.settle().unwrap();
    }
}

#[test]
fn a_patch_that_does_not_fit_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (mut list, mut pushed) = (ListPatch::default(), Vec::new());
    list.set(7, b"element");
    list.write(&mut pushed);
    for (base, patch) in [
        (put(b"\x01text"), set("a", "1")),
        (put(&hash(None, &[("a", "1")])), patch(&pushed)),
        (put(&hash(None, &[("a", "1")])), patch(b"\x05\x01")),
    ] {
        replay(&store, 1, &base).unwrap();
        let before = row(&store);
        let error = replay(&store, 1, &patch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(row(&store), before, "nothing half done is seen");
    }
}
