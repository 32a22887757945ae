//! Which watched keys an entry changes that somebody else wrote.

use haypile_store::effects::{Effect, Effects};
use haypile_store::{Cf, Store, Tier, View, keys};

use crate::watch::WatchTable;

/// Watched keys of databases that become others: those that were there before.
pub(crate) struct Touched(Vec<(u16, Vec<u8>)>);

impl Touched {
    /// To be called before the entries are published.
    pub(crate) fn before(store: &Store, watch: &WatchTable, payloads: &[u8]) -> Self {
        let mut existed = Vec::new();
        for effect in Effects::new(payloads).flatten() {
            if let Effect::Map { db, .. } = effect {
                let there = watch.keys_of(db).into_iter().filter(|key| exists(store, db, key));
                existed.extend(there.map(|key| (db, key)));
            }
        }
        Touched(existed)
    }

    /// Fails the transactions that watch a key which has changed, after the entries were published. Of a database that has
    /// become another, these are the keys that were there or are there now.
    pub(crate) fn touch(self, store: &Store, watch: &WatchTable, payloads: &[u8]) {
        for (db, key) in self.0 {
            watch.touch(db, &key);
        }
        let dbs = store.mapping();
        for effect in Effects::new(payloads).flatten() {
            let (space, cf, key) = match effect {
                Effect::Put { space, cf, key, .. } | Effect::Delete { space, cf, key } => (space, cf, key),
                Effect::Patch { space, key, .. } => (space, Cf::Meta, key),
                Effect::Map { db, .. } => {
                    let there = watch.keys_of(db).into_iter().filter(|key| exists(store, db, key));
                    there.for_each(|key| watch.touch(db, &key));
                    continue;
                }
                Effect::Count { .. } | Effect::Tag { .. } | Effect::EventOfRow { .. } | Effect::Event { .. } => {
                    continue;
                }
            };
            let user_key = match cf {
                Cf::Meta => Some(keys::user_key(key)),
                Cf::Data => keys::parse_data_key(key).map(|parsed| parsed.user_key),
                Cf::Expiry => None,
            };
            let db = dbs.iter().position(|mapped| *mapped == space);
            if let (Some(user_key), Some(db)) = (user_key, db) {
                watch.touch(db as u16, user_key);
            }
        }
    }
}

/// True if the key is there, or if that cannot be found out.
fn exists(store: &Store, db: u16, key: &[u8]) -> bool {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    let row = view.get(view.space(db), Cf::Meta, &keys::meta_key(key));
    !matches!(row, Ok(None))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use haypile_store::{SharedResources, StoreOptions};

    use super::*;
    use crate::watch::WatchFlag;

    #[test]
    fn a_patch_changes_the_key_that_it_is_about() {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedResources::new(8 << 20, 2 << 20);
        let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
        let mut watch = WatchTable::default();
        let [changed, other] = [b"k", b"o"].map(|key| {
            let flag = Arc::new(WatchFlag::default());
            watch.add(0, key, &flag);
            flag
        });
        let meta = keys::meta_key(b"k");
        // As `store/src/effects.rs` has it: a hash's field is gone.
        let payload = [&[11, 0, meta.len() as u8], &meta[..], &[4, 5, 1, 0, b'f']].concat();
        Touched::before(&store, &watch, &payload).touch(&store, &watch, &payload);
        assert!(changed.is_dirty());
        assert!(!other.is_dirty());
    }
}
