//! Opening a store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use haypile_rows::Eras;
use parking_lot::Mutex;
use rocksdb::{ColumnFamilyDescriptor, DB, Options, ReadOptions};

use super::Store;
use crate::base::Base;
use crate::counts::{RECORDS, SlotCounts};
use crate::listener::{Health, Listener};
use crate::options::{cf_options, db_options, default_options};
use crate::orders::Orders;
use crate::publish::{NO_EXPIRY, Publisher};
use crate::reading::Pins;
use crate::settle::Settler;
use crate::spaces::Space;
use crate::state::{STATE_KEY, Slots};
use crate::visible::Visible;
use crate::{Cf, SharedResources, StoreError, StoreOptions, StoreState};

impl Store {
    /// Opens the store in `path`, or makes an empty one.
    pub fn open(path: &Path, options: StoreOptions, shared: SharedResources) -> Result<Store, StoreError> {
        let weak_db = Arc::new(OnceLock::new());
        let health = Arc::new(Health::default());
        let mut db_options = db_options(&options, &shared);
        db_options.add_event_listener(Listener(health.clone()));
        let existing = if path.join("CURRENT").exists() {
            DB::list_cf(&Options::default(), path).map_err(StoreError::rocks("open"))?
        } else {
            check_new(path)?;
            vec!["default".to_owned()]
        };
        let bases = Arc::new(Mutex::new(Vec::new()));
        let families = existing.iter().map(|name| {
            let options = match Cf::parse_name(name) {
                Some((cf, space)) => cf_options(cf, space, &options, &shared, (&weak_db, &bases)),
                None => default_options(&shared),
            };
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = DB::open_cf_descriptors(&db_options, path, families).map_err(StoreError::rocks("open"))?;
        let db = Arc::new(db);
        let _ = weak_db.set(Arc::downgrade(&db));

        let mut state = match db.get(STATE_KEY).map_err(StoreError::rocks("read"))? {
            Some(bytes) => StoreState::decode(&bytes)?,
            None => StoreState::new(options.databases),
        };
        state.add_databases(options.databases);
        if state.slots != Slots::ALL {
            let Slots { first, last } = state.slots;
            return Err(StoreError::Corrupt(format!(
                "it has the slots {first} to {last} only, and a server without a cluster needs all of them"
            )));
        }
        let mut slot_counts = read_counts(&db, state.applied.index)?;
        slot_counts.keep(&state.dbs, state.applied.index);
        let open: HashMap<_, _> = existing
            .iter()
            .filter_map(|name| Cf::parse_name(name))
            .map(|(_, id)| (id, Arc::new(Space::open(&db, id))))
            .collect();
        let settler = Settler::new(state.applied, open.clone());
        let id_floor = state.id_floor;
        let (applied, publisher) = (state.applied.index, Publisher::new(&state.dbs));
        let store = Store {
            visible: Visible::new(state, slot_counts.totals(), Base::new(&db, applied, open)),
            publisher: Mutex::new(publisher),
            orders: Orders::new(shared.budget.order_bytes()),
            settler: Mutex::new(settler),
            families: Mutex::new(()),
            slot_counts: Mutex::new(slot_counts),
            settled_index: AtomicU64::new(applied),
            first_expiry: AtomicU64::new(NO_EXPIRY),
            pins: Mutex::new(Pins::default()),
            bases,
            rows: shared.row_table(),
            id_floor,
            options,
            shared,
            weak_db,
            health,
            compaction_cancelled: AtomicBool::new(false),
            path: path.to_owned(),
            db,
        };
        let first = store.visible.base.clone_arc(&Eras::enter());
        store.bases.lock().push(Arc::downgrade(&first));
        Ok(store)
    }
}

/// Reads the counters of keys, which are those after the entry `applied`.
fn read_counts(db: &DB, applied: u64) -> Result<SlotCounts, StoreError> {
    let mut counts = SlotCounts::default();
    let mut options = ReadOptions::default();
    options.set_iterate_range(rocksdb::PrefixRange(RECORDS));
    let mut records = db.raw_iterator_opt(options);
    records.seek_to_first();
    while let Some((key, value)) = records.item() {
        counts.read(key, value, applied)?;
        records.next();
    }
    records.status().map_err(StoreError::rocks("read"))?;
    Ok(counts)
}

/// Refuses a directory without `CURRENT` that has tables: RocksDB would take it for a new one and remove them.
fn check_new(path: &Path) -> Result<(), StoreError> {
    let failed = |source| {
        let (verb, path) = ("list", path.to_owned());
        StoreError::Io { verb, path, source }
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        if entry.map_err(failed)?.path().extension() == Some("sst".as_ref()) {
            return Err(StoreError::Corrupt(format!(
                "{} has tables, but the file CURRENT is missing",
                path.display()
            )));
        }
    }
    Ok(())
}
