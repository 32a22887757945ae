//! The merge operator within RocksDB, with the options that rows have.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use rocksdb::{ColumnFamilyDescriptor, DB, WriteBatch};

use super::*;
use crate::options::{cf_options, db_options};
use crate::packed::tests::{Act, Content, acts, content, kinds, patch_of};
use crate::packed::write_expiry_patch;
use crate::row::{Header, Kind};
use crate::{Cf, SharedResources, StoreOptions};

struct Rocks {
    dir: tempfile::TempDir,
    db: DB,
}

fn open(path: &Path) -> DB {
    let (options, shared) = (StoreOptions::default(), SharedResources::new(16 << 20, 4 << 20));
    let mut db = db_options(&options, &shared);
    db.create_missing_column_families(true);
    let meta = cf_options(
        Cf::Meta,
        0,
        &options,
        &shared,
        (&Arc::new(OnceLock::new()), &Default::default()),
    );
    DB::open_cf_descriptors(&db, path, [ColumnFamilyDescriptor::new("meta.0", meta)]).unwrap()
}

impl Rocks {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        Rocks { dir, db }
    }

    fn batch(&self, fill: impl FnOnce(&mut WriteBatch)) {
        let mut batch = WriteBatch::default();
        fill(&mut batch);
        self.db.write(&batch).unwrap();
    }

    fn put(&self, key: &[u8], row: &[u8]) {
        self.batch(|batch| batch.put_cf(&self.db.cf_handle("meta.0").unwrap(), key, row));
    }

    fn delete(&self, key: &[u8]) {
        self.batch(|batch| batch.delete_cf(&self.db.cf_handle("meta.0").unwrap(), key));
    }

    fn merge(&self, key: &[u8], patches: &[&[u8]]) {
        let cf = self.db.cf_handle("meta.0").unwrap();
        self.batch(|batch| patches.iter().for_each(|patch| batch.merge_cf(&cf, key, patch)));
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.db.get_cf(&self.db.cf_handle("meta.0").unwrap(), key).unwrap()
    }

    fn flush(&self) {
        self.db.flush_cf(&self.db.cf_handle("meta.0").unwrap()).unwrap();
    }

    fn compact(&self) {
        let cf = self.db.cf_handle("meta.0").unwrap();
        self.db.compact_range_cf(&cf, None::<&[u8]>, None::<&[u8]>);
    }

    fn entries(&self) -> u64 {
        let cf = self.db.cf_handle("meta.0").unwrap();
        let keys = self.db.property_int_value_cf(&cf, "rocksdb.estimate-num-keys");
        keys.unwrap().unwrap()
    }

    fn reopen(&mut self) {
        let empty = tempfile::tempdir().unwrap();
        // Closed before it is opened again.
        drop(std::mem::replace(&mut self.db, open(empty.path())));
        self.db = open(self.dir.path());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, Kind, Option<u64>, Vec<Act>),
    Delete(u8),
    Merge(u8, Kind, Vec<Vec<Act>>),
    Expire(u8, Option<u64>),
    Flush,
    Compact,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0u8..4;
    prop_oneof![
        3 => (key.clone(), kinds(), any::<Option<u64>>(), acts(8)).prop_map(|(k, kind, at, acts)| Op::Put(k, kind, at, acts)),
        1 => key.clone().prop_map(Op::Delete),
        12 => (key, kinds(), prop::collection::vec(acts(4), 1..4)).prop_map(|(k, kind, acts)| Op::Merge(k, kind, acts)),
        3 => (0u8..4, any::<Option<u64>>()).prop_map(|(k, at)| Op::Expire(k, at)),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
        1 => Just(Op::Reopen),
    ]
}

fn row(content: &Content, expire_at: Option<u64>) -> Vec<u8> {
    let mut row = Vec::new();
    Header {
        kind: content.kind(),
        expire_at,
        packed: content.kind().packs(),
        home: None,
    }
    .write(&mut row);
    [row, content.body()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_are_what_their_patches_make_them(ops in prop::collection::vec(op(), 1..40)) {
        let mut rocks = Rocks::new();
        let mut model: BTreeMap<u8, (Content, Option<u64>)> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put(key, kind, expire_at, acts) => {
                    let content = content(kind, &acts);
                    rocks.put(&[key], &row(&content, expire_at));
                    model.insert(key, (content, expire_at));
                }
                Op::Delete(key) => {
                    rocks.delete(&[key]);
                    model.remove(&key);
                }
                Op::Merge(key, kind, commands) => {
                    let (content, _) = model.entry(key).or_insert_with(|| (Content::empty(kind), None));
                    let patches: Vec<Vec<u8>> = commands.iter().map(|acts| patch_of(content, acts)).collect();
                    let patches: Vec<&[u8]> = patches.iter().map(|patch| &patch[..]).collect();
                    rocks.merge(&[key], &patches);
                }
                Op::Expire(key, at) => {
                    // Who gives an expiry has seen the row.
                    if let Some((_, expire_at)) = model.get_mut(&key) {
                        *expire_at = at;
                        let mut patch = Vec::new();
                        write_expiry_patch(&mut patch, at);
                        rocks.merge(&[key], &[&patch]);
                    }
                }
                Op::Flush => rocks.flush(),
                Op::Compact => rocks.compact(),
                Op::Reopen => rocks.reopen(),
            }
            for key in 0..4 {
                let expected = model.get(&key).map(|(content, expire_at)| row(content, *expire_at));
                prop_assert_eq!(rocks.get(&[key]), expected);
            }
        }
        let cf = rocks.db.cf_handle("meta.0").unwrap();
        let all: Result<Vec<_>, _> = rocks.db.iterator_cf(&cf, rocksdb::IteratorMode::Start).collect();
        let expected = model.iter().map(|(key, (content, expire_at))| (vec![*key], row(content, *expire_at)));
        prop_assert!(all.unwrap().into_iter().map(|(key, row)| (key.to_vec(), row.to_vec())).eq(expected));
    }
}

#[test]
fn patches_are_combined_before_their_row_is_met() {
    let rocks = Rocks::new();
    rocks.put(b"k", b"\x45\x01\x01\x01fv");
    rocks.flush();
    rocks.compact();
    rocks.merge(b"k", &[b"\x05\x01\x02fw", b"\x05\x01\x02gx", b"\x05\x01\x00g"]);
    rocks.flush();
    assert_eq!(rocks.entries(), 2, "one row and one patch");
    assert_eq!(rocks.get(b"k").unwrap(), b"\x45\x01\x01\x01fw");
    rocks.compact();
    assert_eq!(rocks.entries(), 1);
    assert_eq!(rocks.get(b"k").unwrap(), b"\x45\x01\x01\x01fw");
}

/// Neither the row nor what the patches make of a part of it: an error for who reads the key, and for nobody else.
#[test]
fn what_does_not_fit_is_kept_and_no_row() {
    let set = &b"\x03\x02m"[..];
    let gap = &b"\x02\x00\x01\x00\x06\x01\x00"[..];
    let cases = [
        ("a string", Some(&b"\x01text"[..]), set),
        ("a spread set", Some(b"\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01"), set),
        ("a packed hash", Some(b"\x45\x00"), set),
        ("a damaged set", Some(b"\x43\x01\x05m"), set),
        ("an empty value", Some(b""), set),
        ("a gap in a list", None, gap),
        ("a damaged patch", Some(b"\x43\x00"), b"\x03\x04m"),
        ("no row to expire", None, b"\x40"),
    ];
    let mut rocks = Rocks::new();
    for (name, row, patch) in cases {
        if let Some(row) = row {
            rocks.put(name.as_bytes(), row);
        }
        rocks.merge(name.as_bytes(), &[patch]);
    }
    rocks.put(b"other", b"\x01text");
    let check = |rocks: &Rocks, stage: &str| {
        for (name, row, patch) in cases {
            let front: Vec<u8> = match row {
                Some(row) => [&[DAMAGED, 1, row.len() as u8], row].concat(),
                None => vec![DAMAGED, 0],
            };
            let expected = [&front[..], &[patch.len() as u8], patch].concat();
            let found = rocks.get(name.as_bytes()).unwrap();
            assert_eq!(found, expected, "{name} {stage}");
            assert_eq!(Header::read(&found), None, "{name} {stage}");
        }
        assert_eq!(rocks.get(b"other").unwrap(), b"\x01text", "{stage}");
    };
    check(&rocks, "in the memtable");
    rocks.flush();
    check(&rocks, "flushed");
    rocks.compact();
    check(&rocks, "compacted");
    rocks.reopen();
    check(&rocks, "opened again");
    for (name, ..) in cases {
        rocks.put(name.as_bytes(), b"\x43\x00");
        rocks.merge(name.as_bytes(), &[set]);
        assert_eq!(
            rocks.get(name.as_bytes()).unwrap(),
            b"\x43\x01\x01m",
            "{name} is healed"
        );
    }
    rocks.flush();
    rocks.compact();
}

#[test]
fn patches_of_what_does_not_fit_are_kept_up_to_a_bound() {
    let patch = [&[0x03, 0xff, 0x0f][..], &[7; 1023]].concat();
    let (mut row, error) = patched(Some(b"\x01text"), [&patch[..]]);
    let other = PackedError::OtherKind {
        patch: Kind::Set,
        row: Kind::String,
    };
    assert_eq!(error, Some(other));
    let front = b"\x0f\x01\x05\x01text";
    let blob = [&[0x82, 0x08][..], &patch].concat();
    assert_eq!(row, [&front[..], &blob].concat());
    for _ in 0..100 {
        let (more, error) = patched(Some(&row), [&patch[..]]);
        assert_eq!(error, Some(PackedError::NotPacked));
        assert!(more.starts_with(&row));
        row = more;
    }
    let kept = (DAMAGED_BYTES_MAX - front.len()) / blob.len();
    assert_eq!(row, [&front[..], &blob.repeat(kept)].concat());
}
