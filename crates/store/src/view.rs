use arc_swap::Guard;
use rocksdb::{ReadOptions, SnapshotWithThreadMode};
use std::sync::Arc;

use crate::rows::{Found, Key};
use crate::scan::{Bounds, Ground, State};
use crate::spaces::Spaces;
use crate::unsettled::Unsettled;
use crate::{Cf, Counts, Direction, Overlay, Scan, SharedValue, SpaceId, Store, StoreError, Value};

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Memory only: a block that is not cached is [`StoreError::Cold`].
    Memory,
    /// To the disk if need be.
    Disk,
}

/// Which state a view's reads see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Each the newest of its key.
    OneByOne,
    /// All the same.
    Snapshot,
    /// All the newest, with what is pending.
    Pending,
}

/// What a command sees of the store, and where its writes go.
///
/// A view for reading sees what has been applied; one for writing sees the pending entries too, and is the only way to
/// add to them.
pub struct View<'a> {
    store: &'a Store,
    spaces: Guard<Arc<Spaces>>,
    tier: Tier,
    mode: Mode<'a>,
}

enum Mode<'a> {
    Read { snapshot: Option<Snapshot<'a>> },
    Write { overlay: &'a mut Overlay },
}

/// One state of everything: RocksDB's, and over it what it could not take.
pub(crate) struct Snapshot<'a> {
    pub(crate) rocks: SnapshotWithThreadMode<'a, rocksdb::DB>,
    pub(crate) unsettled: Option<Arc<Unsettled>>,
}

impl<'a> View<'a> {
    /// A view for reading. With a snapshot all reads see one state, the newest; without one, each read of a key sees
    /// the newest state of that key, and ranges cannot be read ([`StoreError::NeedsSnapshot`]).
    pub fn reading(store: &'a Store, tier: Tier, snapshot: bool) -> Self {
        // RocksDB takes no writes after a failure, and reads go on.
        let settled = !snapshot || store.health().failure().is_none() && store.settle().is_ok();
        // The keyspaces are looked up before the snapshot is taken: a keyspace that is replaced in between still
        // reads as it was.
        let spaces = store.spaces();
        let snapshot = snapshot.then(|| match settled {
            true => Snapshot {
                rocks: store.db().snapshot(),
                unsettled: None,
            },
            false => {
                let (unsettled, rocks) = store.unsettled();
                let unsettled = Some(unsettled);
                Snapshot { rocks, unsettled }
            }
        });
        View {
            store,
            spaces,
            tier,
            mode: Mode::Read { snapshot },
        }
    }

    /// A view for evaluating the open entry of `overlay`.
    pub fn writing(store: &'a Store, overlay: &'a mut Overlay, tier: Tier) -> Self {
        View {
            store,
            spaces: store.spaces(),
            tier,
            mode: Mode::Write { overlay },
        }
    }

    /// How far reads may go.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// True if this view can be written to.
    pub fn is_writing(&self) -> bool {
        matches!(self.mode, Mode::Write { .. })
    }

    /// Which state the view's reads see.
    pub fn reads(&self) -> Reads {
        match self.mode {
            Mode::Write { .. } => Reads::Pending,
            Mode::Read { snapshot: Some(_) } => Reads::Snapshot,
            Mode::Read { snapshot: None } => Reads::OneByOne,
        }
    }

    /// The number of databases.
    pub fn databases(&self) -> u16 {
        self.spaces.dbs.len() as u16
    }

    /// The keyspace that a database is now. A database that does not exist gives the keyspace of database 0:
    /// callers check the number first.
    pub fn space(&self, db: u16) -> SpaceId {
        let dbs = match &self.mode {
            Mode::Write { overlay } => overlay.dbs().unwrap_or(&self.spaces.dbs),
            Mode::Read { .. } => &self.spaces.dbs,
        };
        dbs.get(usize::from(db)).or(dbs.first()).copied().unwrap_or_default()
    }

    /// A keyspace's exact counters.
    pub fn counts(&self, space: SpaceId) -> Counts {
        let stored = self.store.counts(space);
        match &self.mode {
            Mode::Write { overlay } => overlay.counts(space, stored),
            Mode::Read { .. } => stored,
        }
    }

    /// The value of a key.
    pub fn get(&self, space: SpaceId, cf: Cf, key: &[u8]) -> Result<Option<Value<'a>>, StoreError> {
        let hashed = Key::new(space, cf, key);
        if let Mode::Write { overlay } = &self.mode
            && let Some(pending) = overlay.get(hashed)
        {
            return Ok(pending.map(|value| Value::Owned(value.into())));
        }
        if let Mode::Read {
            snapshot: Some(snapshot),
        } = &self.mode
        {
            if let Some(newest) = snapshot.unsettled.as_ref().and_then(|u| u.get(space, cf, key)) {
                return Ok(newest.map(|value| Value::Owned(value.into())));
            }
            let Some(open) = self.spaces.get(space) else {
                return Ok(None);
            };
            let mut options = self.store.read_options(self.tier);
            options.set_snapshot(&snapshot.rocks);
            let got = self.store.db().get_pinned_cf_opt(open.cf(cf), key, &options);
            return Ok(got.map_err(StoreError::rocks("read"))?.map(Value::Pinned));
        }
        let ticket = match self.store.rows.get(hashed) {
            Found::Hit(row) => return Ok(row.value().is_some().then(|| Value::Shared(SharedValue(row)))),
            Found::Miss(ticket) => ticket,
        };
        // Looked up now: the keyspace may have got its column families since the view was made.
        let spaces = self.store.spaces();
        let Some(open) = spaces.get(space) else { return Ok(None) };
        let options = self.store.point_options(self.tier);
        let got = self
            .store
            .db()
            .get_pinned_cf_opt(open.cf(cf), key, options)
            .map_err(StoreError::rocks("read"))?;
        if let Some(value) = &got {
            self.store.rows.fill(ticket, hashed, value);
        }
        Ok(got.map(Value::Pinned))
    }

    /// The keys from `lower` up to but not including `upper` (`None`: to the end), in the given direction.
    pub fn scan(
        &mut self,
        space: SpaceId,
        cf: Cf,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<Scan<'_>, StoreError> {
        let bounds = Bounds {
            lower,
            upper,
            direction,
        };
        if upper.is_some_and(|upper| lower >= upper) {
            return Ok(Scan::nothing());
        }
        let ground = |state| Ground {
            store: self.store,
            space,
            cf,
            tier: self.tier,
            state,
        };
        match &self.mode {
            Mode::Write { overlay } if cf == Cf::Data => {
                Scan::of_known(ground(State::Writer(overlay)), overlay, bounds)
            }
            Mode::Write { overlay } => Scan::open(&ground(State::Writer(overlay)), bounds),
            Mode::Read {
                snapshot: Some(snapshot),
            } => Scan::open(&ground(State::Snapshot(snapshot, &self.spaces)), bounds),
            Mode::Read { snapshot: None } => Err(StoreError::NeedsSnapshot),
        }
    }

    /// The key of an element of a collection that happens to be in memory, chosen by a random number; `None` if none
    /// is, or in a view for reading. `prefix` is what the data keys of the collection start with.
    pub fn known_element(&self, space: SpaceId, prefix: &[u8], random: u64) -> Option<Vec<u8>> {
        match &self.mode {
            Mode::Write { overlay } => overlay.known().lock().any(space, prefix, random).map(<[u8]>::to_vec),
            Mode::Read { .. } => None,
        }
    }

    /// Writes a value.
    pub fn put(&mut self, space: SpaceId, cf: Cf, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.overlay()?.put(Key::new(space, cf, key), Some(value));
        Ok(())
    }

    /// Deletes a key.
    pub fn delete(&mut self, space: SpaceId, cf: Cf, key: &[u8]) -> Result<(), StoreError> {
        self.overlay()?.put(Key::new(space, cf, key), None);
        Ok(())
    }

    /// Logs a keyspace event of the command that is being evaluated: see [`crate::effects`]. Where nothing is logged,
    /// it does nothing.
    pub fn event(&mut self, event: u8, db: u16, key: &[u8]) {
        if let Mode::Write { overlay } = &mut self.mode {
            overlay.event(event, db, key);
        }
    }

    /// Changes a keyspace's counters.
    pub fn count(&mut self, space: SpaceId, keys: i64, expires: i64) -> Result<(), StoreError> {
        self.overlay()?.count(space, keys, expires);
        Ok(())
    }

    /// A version for a collection that is being created.
    pub fn new_version(&mut self) -> Result<u64, StoreError> {
        self.overlay()?.new_version()
    }

    /// Empties a database: it becomes a new keyspace, and the old one goes at once.
    pub fn flush(&mut self, db: u16) -> Result<(), StoreError> {
        self.map(db, None)
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u16, b: u16) -> Result<(), StoreError> {
        let (space_a, space_b) = (self.space(a), self.space(b));
        self.map(a, Some(space_b))?;
        self.map(b, Some(space_a))
    }

    fn map(&mut self, db: u16, space: Option<SpaceId>) -> Result<(), StoreError> {
        let Mode::Write { overlay } = &mut self.mode else {
            return Err(StoreError::ReadOnlyView);
        };
        overlay.map((&self.spaces.dbs, self.store.next_space()), db, space);
        Ok(())
    }

    fn overlay(&mut self) -> Result<&mut Overlay, StoreError> {
        match &mut self.mode {
            Mode::Write { overlay } => Ok(overlay),
            Mode::Read { .. } => Err(StoreError::ReadOnlyView),
        }
    }
}

pub(crate) fn point_options(tier: Tier) -> ReadOptions {
    let mut options = ReadOptions::default();
    if tier == Tier::Memory {
        options.set_read_tier(rocksdb::ReadTier::BlockCache);
    }
    options
}
