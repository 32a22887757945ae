//! Keyspaces: sets of column families, opened when there is something for them.

use std::sync::Arc;

use rocksdb::{BoundColumnFamily, DB};

/// A keyspace: a set of column families with keys of its own. Ids are never reused.
pub type SpaceId = u32;

/// The column families of a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cf {
    /// User keys: what each is, and the value itself of a string.
    Meta = 0,
    /// Elements of collections.
    Data = 1,
    /// User keys by the time at which they expire.
    Expiry = 2,
}

impl Cf {
    pub(crate) const ALL: [Cf; 3] = [Cf::Meta, Cf::Data, Cf::Expiry];

    pub(crate) fn from_u8(n: u8) -> Option<Cf> {
        Cf::ALL.get(usize::from(n)).copied()
    }

    fn name(self) -> &'static str {
        match self {
            Cf::Meta => "meta",
            Cf::Data => "data",
            Cf::Expiry => "expiry",
        }
    }

    /// The column family's name in RocksDB.
    pub(crate) fn name_in(self, space: SpaceId) -> String {
        format!("{}.{space}", self.name())
    }

    /// Which column family a name stands for; `None` for `default` and strangers.
    pub(crate) fn parse_name(name: &str) -> Option<(Cf, SpaceId)> {
        let (cf, space) = name.split_once('.')?;
        let cf = Cf::ALL.into_iter().find(|c| c.name() == cf)?;
        Some((cf, space.parse().ok()?))
    }
}

/// The open column families of one keyspace. Each is made when there is something for it: a database of a few strings
/// has no column family of elements, which would cost memory for nothing.
pub(crate) struct Space {
    /// `'static` stands for "as long as the `DB` beside it": see `Store`'s field order.
    cfs: [Option<Arc<BoundColumnFamily<'static>>>; 3],
}

impl Space {
    /// Looks up the column families that a keyspace has.
    pub(crate) fn open(db: &DB, id: SpaceId) -> Space {
        let handle = |cf: Cf| {
            let handle = db.cf_handle(&cf.name_in(id))?;
            // SAFETY: the lifetime is a marker only. `Store` drops all spaces before its `DB`, and hands out
            // nothing that holds a handle for longer than a borrow of the store.
            Some(unsafe { std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(handle) })
        };
        Space {
            cfs: Cf::ALL.map(handle),
        }
    }

    /// A column family; `None` if nothing has ever been written to it.
    pub(crate) fn cf(&self, cf: Cf) -> Option<&Arc<BoundColumnFamily<'static>>> {
        self.cfs[cf as usize].as_ref()
    }

    /// Those that there are.
    pub(crate) fn cfs(&self) -> impl Iterator<Item = (Cf, &Arc<BoundColumnFamily<'static>>)> {
        Cf::ALL.into_iter().filter_map(|cf| Some((cf, self.cf(cf)?)))
    }
}
