//! Which watched keys an entry changes that somebody else wrote.

use std::collections::HashSet;

use haypile_store::effects::{Effect, Effects};
use haypile_store::keys::{DataKey, Home};
use haypile_store::row::Header;
use haypile_store::{Cf, Store, Tier, View, keys};

use super::WatchTable;

/// Fails the transactions that watch a key which has changed, after the entries were published. Of a database that has
/// become another, these are the keys that were there or are there now.
pub(crate) fn touch(store: &Store, watch: &WatchTable, payloads: &[u8], now_ms: u64) {
    let dbs = store.mapping();
    let homes = homes_of_rows(payloads);
    let mut command = (0, &[][..]);
    for effect in Effects::new(payloads).flatten() {
        let (space, cf, key, removed) = match effect {
            Effect::Put { space, cf, key, .. } => (space, cf, key, false),
            Effect::Delete { space, cf, key, .. } => (space, cf, key, true),
            Effect::Patch { space, key, .. } => (space, Cf::Meta, key, false),
            Effect::Map { db, .. } => {
                watch.empty(db);
                let there = watch
                    .keys_of(db)
                    .into_iter()
                    .filter(|key| lives(store, db, key, now_ms));
                there.for_each(|key| watch.touch(db, &key));
                continue;
            }
            Effect::Tag { db, key, .. } => {
                command = (db, key);
                continue;
            }
            Effect::EventOfRow { .. } | Effect::Event { .. } | Effect::Members { .. } => continue,
        };
        let user_key = match cf {
            Cf::Meta => Some(keys::user_key(key)),
            Cf::Data => {
                // The row says which key it is. Without a row an element is another one now, and the collection that of the
                // command's only key.
                if !removed && DataKey::parse(key).is_some_and(|element| !homes.contains(&element.home)) {
                    let (db, key) = command;
                    watch.touch(db, key);
                }
                None
            }
            Cf::Expiry => None,
        };
        let db = dbs.iter().position(|mapped| *mapped == space);
        if let (Some(user_key), Some(db)) = (user_key, db) {
            // A row that is put says that the key lives; what goes may have been absent already.
            match removed {
                true => watch.remove_absent(db as u16, user_key),
                false => watch.touch(db as u16, user_key),
            }
        }
    }
}

/// Where the elements of the collections stand whose rows are put.
fn homes_of_rows(payloads: &[u8]) -> HashSet<Home> {
    let home = |effect| match effect {
        Effect::Put {
            cf: Cf::Meta, value, ..
        } => Header::read(value)?.0.home,
        _ => None,
    };
    Effects::new(payloads).flatten().filter_map(home).collect()
}

/// True if the key is there and its time is not over, or if that cannot be found out.
fn lives(store: &Store, db: u16, key: &[u8], now_ms: u64) -> bool {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    match view.get(view.space(db), Cf::Meta, &keys::meta_key(key)) {
        Ok(Some(row)) => Header::read(&row).is_none_or(|(header, _)| header.expire_at.is_none_or(|at| at > now_ms)),
        Ok(None) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use haypile_store::row::Kind;
    use haypile_store::{SharedResources, StoreOptions};

    use super::*;
    use crate::WatchFlag;

    /// Whether an entry makes transactions fail that watch `k` and `o`.
    fn touched(payload: &[u8]) -> [bool; 2] {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedResources::new(8 << 20, 2 << 20);
        let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
        let mut watch = WatchTable::default();
        let flags = [b"k", b"o"].map(|key| {
            let flag = Arc::new(WatchFlag::default());
            watch.add(0, key, &flag, false);
            flag
        });
        touch(&store, &watch, payload, 0);
        flags.map(|flag| flag.is_dirty())
    }

    const HOME: Home = Home { slot: 1, id: 2 };

    // Effects as `store/src/effects.rs` has them.

    fn tag(command: &str, key: &str) -> Vec<u8> {
        let (command, key) = (command.as_bytes(), key.as_bytes());
        [&[5, command.len() as u8], command, &[0, key.len() as u8], key].concat()
    }

    fn put(cf: Cf, key: &[u8], value: &[u8]) -> Vec<u8> {
        [&[1, 0, cf as u8, key.len() as u8], key, &[value.len() as u8], value].concat()
    }

    fn element() -> Vec<u8> {
        put(Cf::Data, &HOME.element(b"e"), b"v")
    }

    #[test]
    fn a_patch_changes_the_key_that_it_is_about() {
        let meta = keys::meta_key(b"k");
        // A hash's field is gone.
        let payload = [&[11, 0, 0, meta.len() as u8], &meta[..], &[4, 5, 1, 0, b'f']].concat();
        assert_eq!(touched(&payload), [true, false]);
    }

    #[test]
    fn an_element_alone_changes_the_key_that_the_command_is_about() {
        let payload = [tag("get", "o"), tag("hset", "k"), element()].concat();
        assert_eq!(touched(&payload), [true, false]);
        let deleted = [&[2, 0, Cf::Data as u8, 10][..], &HOME.record()].concat();
        assert_eq!(touched(&[tag("hset", "k"), deleted].concat()), [false, false]);
    }

    #[test]
    fn elements_with_their_row_change_its_key_alone() {
        let mut row = Vec::new();
        let header = Header {
            kind: Kind::Hash,
            expire_at: None,
            packed: false,
            home: Some(HOME),
        };
        header.write(&mut row);
        let payload = [tag("copy", "o"), element(), put(Cf::Meta, &keys::meta_key(b"k"), &row)].concat();
        assert_eq!(touched(&payload), [true, false]);
    }
}
