//! Patches in the log: what becomes of the rows that they are about.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use haypile_store::keys::{MetaKey, meta_key, write_varint};
use haypile_store::packed::{HashPatch, ListPatch, PackedHash, write_hash};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, ErrorKind, Overlay, SharedResources, Store, StoreError, StoreOptions, Tier, View};
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
    let mut out = vec![PATCH, 0, 0];
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
        home: None,
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

/// What the writer sees of the row.
fn pending(store: &Store, overlay: &mut Overlay) -> Option<Vec<u8>> {
    let reading = store.read();
    let view = View::writing(&reading, overlay, Tier::Disk);
    let row = view.get(0, Cf::Meta, &meta_key(b"k")).unwrap();
    row.map(|row| row.to_vec())
}

/// Gives the one field a value, as a command does.
fn change(store: &Store, overlay: &mut Overlay, value: &str) {
    let (mut set, mut patch) = (HashPatch::default(), Vec::new());
    set.set(b"f", value.as_bytes());
    set.write(&mut patch);
    let reading = store.read();
    let mut view = View::writing(&reading, overlay, Tier::Disk);
    let build = |row: &mut Vec<u8>| {
        row.extend_from_slice(&hash(None, &[("f", value)]));
        Ok::<_, StoreError>(true)
    };
    assert!(view.patch(&MetaKey::new(0, b"k"), &patch, build).unwrap());
}

#[test]
fn a_patched_row_is_read_whole_and_logged_as_its_patch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut overlay = Overlay::new();
    overlay.begin_turn();
    overlay.begin_entry(1);
    let before_all = overlay.savepoint();
    change(&store, &mut overlay, "a");
    // A transaction's commands: each may write where one of those before has written over what it found.
    for n in 0..10 {
        let kept = pending(&store, &mut overlay);
        let mark = overlay.savepoint();
        change(&store, &mut overlay, &"x".repeat(n));
        change(&store, &mut overlay, &"y".repeat(n));
        overlay.rollback(mark);
        assert_eq!(pending(&store, &mut overlay), kept);
        overlay.savepoint();
        change(&store, &mut overlay, &"z".repeat(n));
        assert_eq!(
            pending(&store, &mut overlay),
            Some(hash(None, &[("f", &"z".repeat(n))]))
        );
    }
    overlay.rollback(before_all);
    assert_eq!(pending(&store, &mut overlay), None);
    change(&store, &mut overlay, "last");
    overlay.end_entry().unwrap();
    let payload = overlay.newest_entries().next().unwrap().1.to_vec();
    assert_eq!(payload, set("f", "last"));
    store.apply_oldest(&mut overlay, Position::new(1, 1), 0);
    let last = Some(hash(None, &[("f", "last")]));
    assert_eq!(row(&store), last);
    // An earlier entry of the turn is not written over.
    overlay.begin_turn();
    overlay.begin_entry(2);
    change(&store, &mut overlay, "second");
    overlay.end_entry().unwrap();
    overlay.begin_entry(3);
    let mark = overlay.savepoint();
    change(&store, &mut overlay, "third");
    overlay.savepoint();
    change(&store, &mut overlay, "fourth");
    overlay.savepoint();
    change(&store, &mut overlay, "fifth");
    overlay.rollback(mark);
    assert_eq!(pending(&store, &mut overlay), Some(hash(None, &[("f", "second")])));
}

#[test]
fn a_transaction_on_one_row_takes_no_more_memory_than_a_few_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut overlay = Overlay::new();
    overlay.begin_turn();
    overlay.begin_entry(1);
    let value = "v".repeat(1000);
    for _ in 0..1000 {
        overlay.savepoint();
        change(&store, &mut overlay, &value);
    }
    assert!(overlay.turn_bytes() - overlay.turn_logged_bytes() < 10 * value.len());
}
