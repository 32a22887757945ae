//! What readers see: one position, and what has to be known to read at it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haypile_rows::{Guard, Row, Shared};
use haypile_types::Padded;
use parking_lot::Mutex;

use crate::base::Base;
use crate::layers::{Layer, Layers};
use crate::{Cf, Counts, SpaceId, StoreState};

/// Rows of a list up to which a reader copies what it needs of them, instead of sealing the list.
const LOOSE_ROWS: usize = 24;
/// Layers of a column family after which a reader joins some of them.
const LAYERS_JOINED: usize = 12;

/// See the module.
pub(crate) struct Visible {
    /// Log index of the last entry that readers see.
    position: Padded<AtomicU64>,
    pub(crate) base: Shared<Base>,
    pub(crate) databases: Shared<Databases>,
    /// Held for moments only, never while something is published, sorted or written.
    pub(crate) front: Mutex<Front>,
}

/// What changes when something becomes visible.
pub(crate) struct Front {
    /// The store after the last entry that readers see.
    pub(crate) state: StoreState,
    /// Exact counters of the keyspaces that have keys or had some.
    pub(crate) counts: HashMap<SpaceId, Counts>,
    pub(crate) families: [Family; 3],
    /// Keyspaces that no database is any more, and the log index of the turn since which that is so, until they may be
    /// freed as far as the log is concerned.
    pub(crate) unmapped: Vec<(SpaceId, u64)>,
}

/// What is visible of a column family and not in RocksDB, or not yet for all readers.
#[derive(Default)]
pub(crate) struct Family {
    /// The newest, in the order in which it came.
    pub(crate) list: Vec<Row>,
    pub(crate) list_bytes: usize,
    pub(crate) layers: Layers,
}

/// Which keyspace each database is: now, and at positions at which somebody may still read; the newest first.
pub(crate) struct Databases(pub(crate) Vec<(u64, Arc<[SpaceId]>)>);

impl Databases {
    pub(crate) fn at(&self, position: u64) -> &Arc<[SpaceId]> {
        let seen = self.0.iter().find(|(from, _)| *from <= position);
        // The oldest one that is kept was there before all who read.
        let seen = seen.or(self.0.last());
        assert!(seen.is_some(), "a store always has databases");
        #[allow(clippy::unwrap_used)] // checked above
        &seen.unwrap().1
    }
}

impl Visible {
    pub(crate) fn new(state: StoreState, counts: HashMap<SpaceId, Counts>, base: Base) -> Self {
        Visible {
            position: Padded(AtomicU64::new(state.applied.index)),
            base: Shared::new(Arc::new(base)),
            databases: Shared::new(Arc::new(Databases(vec![(0, state.dbs.clone().into())]))),
            front: Mutex::new(Front {
                state,
                counts,
                families: Default::default(),
                unmapped: Vec::new(),
            }),
        }
    }

    /// The newest position that can be read.
    pub(crate) fn position(&self) -> u64 {
        self.position.0.load(Ordering::Acquire)
    }

    /// Makes everything that was published until `position` visible. Under the lock of `front`.
    pub(crate) fn advance(&self, position: u64) {
        self.position.0.store(position, Ordering::Release);
    }

    /// The rows of a column family above `base`, for a reader of a range: layers, and those of the wanted rows that are in none.
    /// What is newer than the reader may be among them.
    pub(crate) fn unsettled(&self, cf: Cf, base: u64, wanted: impl Fn(&Row) -> bool) -> (Layers, Vec<Row>) {
        let mut front = self.front.lock();
        let until = front.state.applied.index;
        let family = &mut front.families[cf as usize];
        let loose = if family.list.len() <= LOOSE_ROWS {
            family.list.iter().filter(|row| wanted(row)).cloned().collect()
        } else {
            family.seal(cf, until);
            Vec::new()
        };
        let layers = family.layers.clone();
        drop(front);
        if layers.len() > LAYERS_JOINED {
            self.join(cf, &layers);
        }
        if layers.iter().all(|layer| layer.until > base) {
            return (layers, loose);
        }
        (
            Arc::new(layers.iter().filter(|layer| layer.until > base).cloned().collect()),
            loose,
        )
    }

    /// Makes one layer of the newest ones, so that there are few: of as many as it takes until the next one is longer than these together.
    /// So most rows are in three or four joined layers one after the other, however many there are. (If each layer were twice as long as the
    /// next, they would be in one for each doubling.)
    fn join(&self, cf: Cf, layers: &Layers) {
        let mut from = layers.len();
        let mut rows = 0;
        while from > 0 && (layers.len() - from < 2 || layers[from - 1].len() <= rows) {
            from -= 1;
            rows += layers[from].len();
        }
        let joined = &layers[from..];
        let (Some(last), true) = (joined.last(), joined.len() > 1) else {
            return;
        };
        let layer = Arc::new(Layer::joined(cf, joined, last.until));
        let mut front = self.front.lock();
        let family = &mut front.families[cf as usize];
        // Others may have joined or settled them meanwhile.
        let found = family.layers.iter().position(|layer| Arc::ptr_eq(layer, &joined[0]));
        let Some(at) = found else { return };
        let same = |(a, b): (&Arc<Layer>, &Arc<Layer>)| Arc::ptr_eq(a, b);
        let there = &family.layers[at..];
        if there.len() < joined.len() || !there.iter().zip(joined).all(same) {
            return;
        }
        let mut layers = family.layers[..at].to_vec();
        layers.push(layer);
        layers.extend_from_slice(&family.layers[at + joined.len()..]);
        let before = std::mem::replace(&mut family.layers, Arc::new(layers));
        drop(front);
        drop(before);
    }

    /// Which keyspace each database is at a position.
    pub(crate) fn databases_at<'g>(&self, guard: &'g Guard<'_>, position: u64) -> &'g Arc<[SpaceId]> {
        self.databases.get(guard).at(position)
    }
}

impl Family {
    /// Rows that RocksDB does not have, and their bytes, if it has everything up to `settled`.
    pub(crate) fn unsettled(&self, settled: u64) -> (usize, usize) {
        let layers = self.layers.iter().filter(|layer| layer.until > settled);
        layers.fold((self.list.len(), self.list_bytes), |(rows, bytes), layer| {
            (rows + layer.len(), bytes + layer.bytes)
        })
    }

    /// Makes a layer of the list.
    pub(crate) fn seal(&mut self, cf: Cf, until: u64) {
        if self.list.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut self.list);
        let bytes = std::mem::take(&mut self.list_bytes);
        self.push(Arc::new(Layer::new(cf, rows, until, bytes)));
    }

    pub(crate) fn push(&mut self, layer: Arc<Layer>) {
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        layers.extend_from_slice(&self.layers);
        layers.push(layer);
        self.layers = Arc::new(layers);
    }
}
