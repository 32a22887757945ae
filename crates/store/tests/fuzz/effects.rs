//! Any bytes as the payloads of log entries: they are refused, or read back as what they are written as; and a store that takes them
//! holds the same before and after it is closed.

use std::path::Path;

use haypile_store::effects::{Effect, Effects};
use haypile_store::keys::write_varint;
use haypile_store::{
    Cf, Counted, Counts, Direction, ErrorKind, SharedResources, Store, StoreError, StoreOptions, Tier, View,
};
use haypile_types::Position;

use super::input::Input;

const DATABASES: u16 = 4;

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn family(cf: Cf, counted: Counted) -> u8 {
    let bit = |change: i8, more: u8, fewer: u8| match change {
        0 => 0,
        1 => more,
        _ => fewer,
    };
    cf as u8 | bit(counted.keys, 0x10, 0x20) | bit(counted.expires, 0x40, 0x80)
}

/// As the format has it.
pub fn write(out: &mut Vec<u8>, effect: &Effect<'_>) {
    match *effect {
        Effect::Put {
            space,
            cf,
            key,
            value,
            counted,
        } => {
            out.push(1);
            write_varint(out, space.into());
            out.push(family(cf, counted));
            blob(out, key);
            blob(out, value);
        }
        Effect::Delete {
            space,
            cf,
            key,
            counted,
        } => {
            out.push(2);
            write_varint(out, space.into());
            out.push(family(cf, counted));
            blob(out, key);
        }
        Effect::Map { db, space } => {
            out.push(4);
            write_varint(out, db.into());
            write_varint(out, space.into());
        }
        Effect::Tag {
            command,
            db,
            key,
            new,
            own,
        } => {
            out.push(5 + u8::from(new) + 2 * u8::from(own));
            blob(out, command);
            write_varint(out, db.into());
            blob(out, key);
        }
        Effect::EventOfRow { event } => out.extend_from_slice(&[9, event]),
        Effect::Event { event, db, key } => {
            out.extend_from_slice(&[10, event]);
            write_varint(out, db.into());
            blob(out, key);
        }
        Effect::Members { bytes } => {
            out.push(12);
            blob(out, bytes);
        }
        Effect::Patch {
            space,
            key,
            patch,
            counted,
        } => {
            out.push(11);
            write_varint(out, space.into());
            out.push(family(Cf::Meta, counted));
            blob(out, key);
            blob(out, patch);
        }
    }
}

/// Reads a payload; false if it is none.
pub fn read(bytes: &[u8]) -> bool {
    let read: Vec<_> = Effects::new(bytes).collect();
    let effects: Vec<_> = read.iter().flatten().copied().collect();
    if effects.len() < read.len() {
        let (_, before) = read.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok), "it ends after an error");
        return false;
    }
    let mut again = Vec::new();
    effects.iter().for_each(|effect| write(&mut again, effect));
    assert_eq!(Effects::new(&again).map(Result::unwrap).collect::<Vec<_>>(), effects);
    true
}

fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        databases: DATABASES,
        ..StoreOptions::default()
    };
    Store::open(dir, options, SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

/// All rows that readers see, the counters, and which keyspaces the databases are.
type Content = (Vec<(u16, u8, Vec<u8>, Vec<u8>)>, Vec<Counts>, Vec<u32>);

fn content(store: &Store) -> Content {
    let reading = store.read();
    let mut view = View::reading(&reading, Tier::Disk);
    let mut rows = Vec::new();
    for db in 0..DATABASES {
        for cf in [Cf::Meta, Cf::Data, Cf::Expiry] {
            let space = view.space(db);
            let mut scan = view.scan(space, cf, &[], None, Direction::Forward).unwrap();
            while let Some((key, value)) = scan.next().unwrap() {
                rows.push((db, cf as u8, key.to_vec(), value.to_vec()));
            }
        }
    }
    (rows, store.counts_of_databases(), store.mapping())
}

/// Bytes far beyond the end of a string would be filled with zeros: that is meant, and takes its time.
fn is_far(bytes: &[u8]) -> bool {
    use haypile_store::packed::{Change, Patch};
    Effects::new(bytes).flatten().any(|effect| match effect {
        Effect::Patch { patch, .. } => Patch::read(patch).is_ok_and(|patch| {
            let mut changes = patch.changes().flatten();
            changes.any(|change| matches!(change, Change::Bytes(offset, _) if offset > 1 << 16))
        }),
        _ => false,
    })
}

/// Payloads, each with its length before it, that are replayed one after the other.
pub fn replay(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut input = Input::new(bytes);
    let mut index = 0;
    while !input.is_empty() && index < 20 {
        let settles = input.choose(4) == 0;
        let payload = input.piece();
        // What does not read is refused before it is logged.
        if !read(payload) || is_far(payload) {
            continue;
        }
        index += 1;
        if let Err(error) = store.replay(payload, Position::new(1, index), 0) {
            return corrupt(&error);
        }
        if settles && let Err(error) = store.settle() {
            return corrupt(&error);
        }
    }
    let before = content(&store);
    if let Err(error) = store.flush() {
        return corrupt(&error);
    }
    assert_eq!(content(&store), before, "after it was written out");
    drop(store);
    let store = open(dir.path());
    assert_eq!(content(&store), before, "after it was closed");
    assert_eq!(store.applied().index, index);
}

fn corrupt(error: &StoreError) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}
