//! A store directory as it was written when its format was fixed: it is read today as it was then, and written the same.
//!
//! `fixtures/format-3/` is the directory, `fixtures/format-3.txt` all keys and values that it has, in hexadecimal. Another format
//! gets a fixture of its own beside it:
//!
//! ```bash
//! HAYPILE_FIXTURE=write cargo test --release -p haypile-store --test frozen
//! ```
//!
//! writes both anew. What then changes in the text is what a server of an earlier version would not understand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use haypile_store::keys::{Home, IdState, MetaKey, expiry_key, meta_key, spread};
use haypile_store::packed::{self, PackedHash, PackedList, PackedSet, PackedZset};
use haypile_store::row::{Header, Kind, Spread};
use haypile_store::{
    Cf, Counted, Counts, Direction, Overlay, SharedResources, Slots, SpaceId, Store, StoreOptions, Tier, View,
};
use haypile_types::{Position, slot_of};

const EXPIRE_AT: u64 = 4_102_444_800_000;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        databases: 3,
        ..StoreOptions::default()
    };
    Store::open(dir, options, SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

/// Stores a row that is new.
fn put_row(view: &mut View<'_>, db: u16, key: &[u8], header: Header, body: &[u8]) {
    let (space, meta) = (view.space(db), meta_key(key));
    let expires = i8::from(header.expire_at.is_some());
    let counted = Counted { keys: 1, expires };
    view.put_row(&MetaKey::new(space, key), &header.bytes(), body, counted)
        .unwrap();
    if let Some(at) = header.expire_at {
        view.put(space, Cf::Expiry, &expiry_key(at, &meta), &[]).unwrap();
    }
    if let Some(home) = header.home {
        view.put(space, Cf::Data, &home.record(), &IdState::Live.encode())
            .unwrap();
    }
}

fn header(kind: Kind, packed: bool, expires: bool, home: Option<Home>) -> Header {
    Header {
        kind,
        expire_at: expires.then_some(EXPIRE_AT),
        packed,
        home,
    }
}

type Elements = Vec<(Vec<u8>, Vec<u8>)>;

/// Elements as the types lay them out, of which there are two for each member of a sorted set.
fn elements(kind: Kind) -> Elements {
    let member = |n: u64| format!("member {n}").into_bytes();
    let element = |n: u64| -> Elements {
        let score = (1 << 63 | n).to_be_bytes();
        let place = spread(&member(n)).to_be_bytes();
        match kind {
            Kind::Hash if n == 0 => vec![(Vec::new(), b"of the empty field".to_vec())],
            Kind::Hash => vec![(member(n), format!("value {n}").into_bytes())],
            Kind::Set => vec![([&place[..], &member(n)].concat(), Vec::new())],
            Kind::List => vec![((packed::LABEL_MIDDLE - 1 + n).to_be_bytes().to_vec(), member(n))],
            _ => vec![
                ([&[0], &place[..], &member(n)].concat(), score.to_vec()),
                ([&[1], &score[..], &member(n)].concat(), Vec::new()),
            ],
        }
    };
    let mut all: Elements = (0..3).flat_map(element).collect();
    all.sort();
    all
}

fn put_spread(view: &mut View<'_>, db: u16, (key, home_key): (&[u8], &[u8]), kind: Kind, expires: bool) {
    let home = Home {
        slot: slot_of(home_key),
        id: view.new_id().unwrap(),
    };
    let mut body = Vec::new();
    let head = if kind == Kind::List {
        packed::LABEL_MIDDLE - 1
    } else {
        0
    };
    body.extend_from_slice(&Spread { size: 3, head }.bytes(kind));
    put_row(view, db, key, header(kind, false, expires, Some(home)), &body);
    let space = view.space(db);
    for (element, value) in elements(kind) {
        let mut key = Vec::new();
        home.write_key(kind, &element, |part| key.extend_from_slice(part));
        view.put(space, Cf::Data, &key, &value).unwrap();
    }
}

fn packed_body(kind: Kind) -> Vec<u8> {
    let mut body = Vec::new();
    match kind {
        Kind::Hash => packed::write_hash(&mut body, 2, [(&b""[..], &b"1"[..]), (b"field", b"2")]),
        Kind::Set => packed::write_set(&mut body, 2, [&b"a"[..], b"b"]),
        Kind::Zset => packed::write_zset(&mut body, 2, [(7, &b"b"[..]), (9, b"a")]),
        _ => packed::write_list(&mut body, packed::LABEL_MIDDLE - 3, 2, [&b"x"[..], b"x"]),
    }
    body
}

const SPREAD: [(&[u8], Kind); 4] = [
    (b"hash", Kind::Hash),
    (b"set", Kind::Set),
    (b"zset", Kind::Zset),
    (b"list", Kind::List),
];
const PACKED: [(&[u8], Kind); 4] = [
    (b"packed hash", Kind::Hash),
    (b"packed set", Kind::Set),
    (b"packed zset", Kind::Zset),
    (b"packed list", Kind::List),
];

/// All that the fixture has, as two entries.
fn fill(store: &Store) {
    let mut overlay = Overlay::new();
    let mut entry = |index: u64, write: &dyn Fn(&mut View<'_>)| {
        overlay.begin_turn();
        overlay.begin_entry(index);
        write(&mut View::writing(&store.read(), &mut overlay, Tier::Disk));
        overlay.end_entry().unwrap();
        store.apply_oldest(&mut overlay, Position::new(3, index), 1000 + index);
        store.settle().unwrap();
    };
    entry(1, &|view| {
        put_row(view, 1, b"flushed", header(Kind::String, false, false, None), b"gone");
    });
    entry(2, &|view| {
        view.flush(1).unwrap();
        put_row(
            view,
            0,
            b"string",
            header(Kind::String, false, false, None),
            b"its bytes",
        );
        put_row(view, 0, b"expires", header(Kind::String, false, true, None), b"");
        put_row(
            view,
            1,
            b"string",
            header(Kind::String, false, false, None),
            b"of database 1",
        );
        for (key, kind) in SPREAD {
            put_spread(view, 0, (key, key), kind, false);
        }
        // As RENAME leaves it where the new name has another slot.
        put_spread(view, 1, (b"renamed", b"named before"), Kind::Hash, true);
        for (key, kind) in PACKED {
            put_row(
                view,
                0,
                key,
                header(kind, true, kind == Kind::Set, None),
                &packed_body(kind),
            );
        }
    });
    store.flush().unwrap();
    store.drop_unmapped(2).unwrap();
}

/// All keys and values of a directory.
fn dump(dir: &Path) -> String {
    let mut names = rocksdb::DB::list_cf(&rocksdb::Options::default(), dir).unwrap();
    names.sort();
    let mut options = rocksdb::Options::default();
    // As for reading nothing but whole values.
    options.set_merge_operator_associative("haypile.patches", |_, _, _| None);
    let families = names
        .iter()
        .map(|name| rocksdb::ColumnFamilyDescriptor::new(name, options.clone()));
    let db = rocksdb::DB::open_cf_descriptors_read_only(&options, dir, families, false).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut text = String::new();
    for name in &names {
        writeln!(text, "[{name}]").unwrap();
        let family = db.cf_handle(name).unwrap();
        for item in db.iterator_cf(&family, rocksdb::IteratorMode::Start) {
            let (key, value) = item.unwrap();
            writeln!(text, "{} = {}", hex(&key), hex(&value)).unwrap();
        }
    }
    text
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if wanted(name) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A copy of the frozen directory, which opening changes.
fn frozen() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixtures().join("format-3"), dir.path(), |_| true);
    dir
}

fn frozen_text() -> String {
    fs::read_to_string(fixtures().join("format-3.txt")).unwrap()
}

#[test]
fn today_the_same_bytes_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    drop(store);
    let written = dump(dir.path());
    if std::env::var("HAYPILE_FIXTURE").is_ok_and(|what| what == "write") {
        let to = fixtures().join("format-3");
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).unwrap();
        let is_data = |name: &str| {
            name == "CURRENT" || name == "IDENTITY" || name.starts_with("MANIFEST") || name.ends_with(".sst")
        };
        copy(dir.path(), &to, is_data);
        fs::write(fixtures().join("format-3.txt"), &written).unwrap();
    }
    assert_eq!(written, frozen_text());
}

#[test]
fn the_directory_is_still_what_it_was() {
    let dir = frozen();
    drop(open(dir.path()));
    assert_eq!(dump(dir.path()), frozen_text());
}

fn row(view: &View<'_>, db: u16, key: &[u8]) -> (Header, Vec<u8>) {
    let row = view.get(view.space(db), Cf::Meta, &meta_key(key)).unwrap().unwrap();
    let (header, length) = Header::read(&row).unwrap();
    (header, row[length..].to_vec())
}

fn elements_of(view: &mut View<'_>, space: SpaceId, home: Home, kind: Kind) -> Elements {
    let (first, end, before) = (home.first(), home.end(), Home::bytes_before_name(kind));
    let mut scan = view
        .scan(space, Cf::Data, &first, Some(&end), Direction::Forward)
        .unwrap();
    let mut found = Vec::new();
    while let Some((key, value)) = scan.next().unwrap() {
        assert!(key.starts_with(&home.prefix()));
        found.push((key[before..].to_vec(), value.to_vec()));
    }
    // Fields come in the order of their numbers.
    found.sort();
    found
}

#[test]
fn everything_in_it_still_reads() {
    let dir = frozen();
    let store = open(dir.path());
    let state = store.state();
    assert_eq!((state.applied, state.clock), (Position::new(3, 2), 1002));
    assert_eq!((state.slots, state.id_floor), (Slots::ALL, 0));
    assert_eq!((&state.dbs[..], state.next_space), (&[0, 256, 2][..], 257));
    assert_eq!(store.counts(0), Counts { keys: 10, expires: 2 });
    assert_eq!(store.counts(256), Counts { keys: 2, expires: 1 });
    assert_eq!(
        store.counts_of_slot(256, slot_of(b"renamed")),
        Counts { keys: 1, expires: 1 }
    );

    let reading = store.read();
    let mut view = View::reading(&reading, Tier::Disk);
    let string = header(Kind::String, false, false, None);
    assert_eq!(row(&view, 0, b"string"), (string, b"its bytes".to_vec()));
    assert_eq!(row(&view, 1, b"string"), (string, b"of database 1".to_vec()));
    assert_eq!(row(&view, 0, b"expires").0.expire_at, Some(EXPIRE_AT));
    assert!(
        view.get(view.space(1), Cf::Meta, &meta_key(b"flushed"))
            .unwrap()
            .is_none()
    );
    let spread = SPREAD.map(|(key, kind)| (0, key, key, kind));
    for (db, key, home_key, kind) in spread
        .into_iter()
        .chain([(1, &b"renamed"[..], &b"named before"[..], Kind::Hash)])
    {
        let (found, body) = row(&view, db, key);
        let home = found.home.unwrap();
        assert_eq!((found.kind, found.packed, home.slot), (kind, false, slot_of(home_key)));
        assert_eq!(Spread::read(kind, &body).unwrap().size, 3);
        let space = view.space(db);
        let record = view.get(space, Cf::Data, &home.record()).unwrap().unwrap();
        assert_eq!(IdState::decode(&record), Some(IdState::Live));
        drop(record);
        assert_eq!(elements_of(&mut view, space, home, kind), elements(kind), "{kind:?}");
    }
    for (key, kind) in PACKED {
        let (found, body) = row(&view, 0, key);
        assert_eq!(found, header(kind, true, kind == Kind::Set, None));
        match kind {
            Kind::Hash => assert_eq!(PackedHash::read(&body).unwrap().get(b"field").unwrap(), Some(&b"2"[..])),
            Kind::Set => assert!(PackedSet::read(&body).unwrap().contains(b"b").unwrap()),
            Kind::Zset => assert_eq!(PackedZset::read(&body).unwrap().score(b"a").unwrap(), Some(9)),
            _ => assert_eq!(
                PackedList::read(&body).unwrap().labels(),
                packed::LABEL_MIDDLE - 3..packed::LABEL_MIDDLE - 1
            ),
        }
    }
    let mut index = view.scan(0, Cf::Expiry, &[], None, Direction::Forward).unwrap();
    let mut times = 0;
    while let Some((entry, _)) = index.next().unwrap() {
        assert_eq!(haypile_store::keys::parse_expiry_key(entry).unwrap().0, EXPIRE_AT);
        times += 1;
    }
    assert_eq!(times, 2);
}
