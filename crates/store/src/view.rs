//! What a command sees of the store: one state of everything, and where its writes go.

use haypile_rows::{FETCHED_AHEAD, Key, hash_of};
use smallvec::SmallVec;

use crate::keys::{Home, MetaKey};
use crate::reading::{Found, State};
use crate::scan::{Bounds, Ground};
use crate::{
    Cf, Counted, Counts, Direction, Jumps, Overlay, Pass, Pinned, Reading, RowValue, Scan, SharedValue, SpaceId,
    StoreError, Value,
};

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Memory only: a block that is not cached is [`StoreError::Cold`].
    Memory,
    /// To the disk if need be.
    Disk,
}

/// What a command sees of the store, and where its writes go: one state of everything.
///
/// A view for reading sees what is visible at its position; one for writing sees the pending entries over it, and is the only
/// way to add to them.
pub struct View<'a> {
    pub(crate) state: State<'a>,
    pub(crate) tier: Tier,
    pub(crate) overlay: Option<&'a mut Overlay>,
}

impl<'a> View<'a> {
    /// A view of the newest state, for a command that is soon over.
    pub fn reading(reading: &'a Reading<'a>, tier: Tier) -> Self {
        View {
            state: State::Newest(reading),
            tier,
            overlay: None,
        }
    }

    /// A view of a state that is kept for as long as it takes.
    pub fn pinned(pinned: &'a Pinned<'a>, tier: Tier) -> Self {
        View {
            state: State::Pinned(pinned),
            tier,
            overlay: None,
        }
    }

    /// A view for evaluating the open entry of `overlay`. The writer's `reading` is from after the last publishing.
    pub fn writing(reading: &'a Reading<'a>, overlay: &'a mut Overlay, tier: Tier) -> Self {
        View {
            state: State::Newest(reading),
            tier,
            overlay: Some(overlay),
        }
    }

    /// How far reads may go.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// True if this view can be written to.
    pub fn is_writing(&self) -> bool {
        self.overlay.is_some()
    }

    /// The number of databases.
    pub fn databases(&self) -> u16 {
        self.state.databases().len() as u16
    }

    /// The keyspace that a database is now.
    ///
    /// # Panics
    /// There is no such database: who takes a number from a client checks it first.
    pub fn space(&self, db: u16) -> SpaceId {
        let pending = self.overlay.as_ref().and_then(|overlay| overlay.dbs());
        let dbs = pending.unwrap_or(self.state.databases());
        assert!(
            usize::from(db) < dbs.len(),
            "database {db} is asked for, and there are {}",
            dbs.len()
        );
        dbs[usize::from(db)]
    }

    /// The exact counters of a database, which must exist.
    ///
    /// There are no versions of counters: a view that only reads gets those of the newest state, which may be newer than
    /// the one that it reads. Which keyspace the database is comes from that state, too: the one that it was before may be
    /// another database by now, or be gone with its counters.
    pub fn counts(&self, db: u16) -> Counts {
        let store = self.state.store();
        match &self.overlay {
            Some(overlay) => {
                let space = self.space(db);
                overlay.counts(space, store.counts(space))
            }
            None => store.counts_of_database(db),
        }
    }

    /// The exact counters of a slot of a keyspace. For a view for writing this takes as long as looking at all that is pending.
    pub fn counts_of_slot(&self, space: SpaceId, slot: u16) -> Counts {
        let stored = self.state.store().counts_of_slot(space, slot);
        match &self.overlay {
            Some(overlay) => overlay.counts_of_slot(space, slot, stored),
            None => stored,
        }
    }

    /// The value of a key.
    pub fn get(&self, space: SpaceId, cf: Cf, key: &[u8]) -> Result<Option<Value<'a>>, StoreError> {
        self.get_hashed(cf, Key::new(space, cf as u8, key))
    }

    /// The row of a meta key.
    pub fn row(&self, key: &MetaKey) -> Result<Option<Value<'a>>, StoreError> {
        self.get_hashed(Cf::Meta, key.key())
    }

    /// The newest row of a meta key that is visible, if it is in memory as such; `None` also for one that is deleted.
    pub fn row_in_memory(&self, key: &MetaKey) -> Option<Value<'a>> {
        match self.state.find(key.key(), Cf::Meta) {
            Found::Version(row) if row.value().is_some() => Some(Value::Row(RowValue(row))),
            Found::Kept(row) if row.value().is_some() => Some(Value::Shared(SharedValue(row))),
            Found::Version(_) | Found::Kept(_) | Found::Below(_) => None,
        }
    }

    /// The values of several keys, in their order, for as long as `each` says to go on; it also learns whether a value was in memory as
    /// a row, so that reading it has cost next to nothing. What looking them up touches is fetched into the processor's cache first, for
    /// all of them at once: a few dozens are worth it.
    pub fn get_each<K: AsRef<[u8]>, E: From<StoreError>>(
        &self,
        space: SpaceId,
        cf: Cf,
        keys: impl Iterator<Item = K> + Clone,
        mut each: impl FnMut(Option<&[u8]>, bool) -> Result<bool, E>,
    ) -> Result<(), E> {
        if self.overlay.is_none() {
            self.state.check()?;
        }
        let hash = |key: K| hash_of(space, cf as u8, key.as_ref());
        let hashes: SmallVec<[u64; FETCHED_AHEAD]> = keys.clone().map(hash).collect();
        self.state.prefetch(hashes.iter().copied());
        for (key, hash) in keys.zip(hashes) {
            let (family, key) = (cf as u8, key.as_ref());
            let key = Key {
                hash,
                space,
                family,
                key,
            };
            if self.overlay.is_none()
                && let Found::Version(row) = self.state.find(key, cf)
            {
                if !each(row.value(), true)? {
                    break;
                }
                continue;
            }
            let value = self.get_hashed(cf, key)?;
            let is_shared = value.as_ref().is_none_or(Value::is_shared);
            if !each(value.as_deref(), is_shared)? {
                break;
            }
        }
        Ok(())
    }

    /// Has the processor fetch what looking up these keys will touch, all at once: a few that are likely to be asked for next.
    pub fn prefetch<K: AsRef<[u8]>>(&self, space: SpaceId, cf: Cf, keys: impl Iterator<Item = K>) {
        let hashes: SmallVec<[u64; FETCHED_AHEAD]> = keys.map(|key| hash_of(space, cf as u8, key.as_ref())).collect();
        self.state.prefetch(hashes.iter().copied());
    }

    fn get_hashed(&self, cf: Cf, key: Key<'_>) -> Result<Option<Value<'a>>, StoreError> {
        match &self.overlay {
            Some(overlay) => {
                if let Some(pending) = overlay.get(key) {
                    return Ok(pending);
                }
            }
            None => self.state.check()?,
        }
        match self.state.find(key, cf) {
            Found::Version(row) if row.value().is_some() => Ok(Some(Value::Row(RowValue(row)))),
            Found::Version(_) => Ok(None),
            Found::Kept(row) => Ok(row.value().is_some().then(|| Value::Shared(SharedValue(row)))),
            Found::Below(ticket) => Ok(self.state.read_below(key, cf, self.tier, ticket)?.map(Value::Pinned)),
        }
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
        let ground = self.ground(space, cf)?;
        match self.overlay.as_deref() {
            Some(overlay) if cf == Cf::Data => Scan::of_known(ground, overlay, bounds),
            _ => Scan::open(&ground, bounds),
        }
    }

    /// The elements of one collection between two data keys, for who goes from place to place among them, forward from each.
    pub fn jumps(&mut self, space: SpaceId, lower: &[u8], upper: &[u8]) -> Result<Jumps<'_>, StoreError> {
        if lower >= upper {
            return Ok(Jumps::nothing());
        }
        let ground = self.ground(space, Cf::Data)?;
        let direction = Direction::Forward;
        let bounds = Bounds {
            lower,
            upper: Some(upper),
            direction,
        };
        Jumps::open(&ground, bounds)
    }

    /// Where ranges are read.
    ///
    /// # Errors
    /// The state is not to be read any more.
    fn ground(&self, space: SpaceId, cf: Cf) -> Result<Ground<'_>, StoreError> {
        let overlay = self.overlay.as_deref();
        if overlay.is_none() {
            self.state.check()?;
        }
        Ok(Ground {
            state: &self.state,
            space,
            cf,
            tier: self.tier,
            overlay,
        })
    }

    /// What `take` makes of the data key of one of the candidates that the writer keeps of a collection of `size` elements, chosen by a
    /// random number. `None` if there is none, or they were all elements and are not any more, or in a view for reading.
    pub fn candidate<R>(
        &self,
        space: SpaceId,
        home: Home,
        (size, random): (u64, u64),
        take: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let overlay = self.overlay.as_ref()?;
        let known = overlay.known().lock();
        known.candidate(space, &home.prefix(), size, random).map(take)
    }

    /// How many candidates the writer has been given of a collection, lately.
    pub fn candidates_given(&self, space: SpaceId, home: Home) -> u64 {
        let overlay = self.overlay.as_ref();
        overlay.map_or(0, |overlay| {
            overlay.known().lock().candidates_given(space, &home.prefix())
        })
    }

    /// The pass over a collection in which the writer has drawn its candidates.
    pub fn pass(&self, space: SpaceId, home: Home) -> Pass {
        let overlay = self.overlay.as_ref();
        overlay.map_or(Pass::default(), |overlay| {
            overlay.known().lock().pass(space, &home.prefix())
        })
    }

    /// Has the writer keep elements of a collection, by their data keys, that were drawn at random in a pass or are all that there are.
    pub fn set_candidates(
        &mut self,
        space: SpaceId,
        home: Home,
        keys: impl Iterator<Item = impl AsRef<[u8]>>,
        are_all: bool,
        pass: Pass,
    ) {
        if let Some(overlay) = self.overlay.as_ref().filter(|overlay| overlay.learns()) {
            let mut known = overlay.known().lock();
            known.set_candidates(space, &home.prefix(), keys, are_all, pass);
        }
    }

    /// Writes a value.
    pub fn put(&mut self, space: SpaceId, cf: Cf, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.overlay()?.put(cf, Key::new(space, cf as u8, key), Some(value));
        Ok(())
    }

    /// Writes a row of which only a patch is logged. `build` appends it, and what it gives is true if it is to be written: it must
    /// be what [`patch_row`](crate::packed::patch_row) makes of the row that is there, or of none.
    pub fn patch<E: From<StoreError>>(
        &mut self,
        key: &MetaKey,
        patch: &[u8],
        build: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.overlay()?.patch(key.key(), patch, Counted::NOTHING, build)
    }

    /// Changes a row of [`Cf::Meta`] by a patch, which is logged. `row` is what was read of the key; a large row that several
    /// commands of a turn change is changed where it is, if nobody holds it otherwise. `counted` is what it changes the counters
    /// of keys by.
    pub fn change(
        &mut self,
        key: &MetaKey,
        row: Option<Value<'_>>,
        patch: &[u8],
        counted: Counted,
    ) -> Result<(), StoreError> {
        let key = key.key();
        let overlay = self.overlay()?;
        let row = row.filter(|_| !overlay.has_own_draft(key));
        overlay.change(key, row.as_deref(), patch, counted)?;
        Ok(())
    }

    /// Deletes a key.
    pub fn delete(&mut self, space: SpaceId, cf: Cf, key: &[u8]) -> Result<(), StoreError> {
        self.overlay()?.put(cf, Key::new(space, cf as u8, key), None);
        Ok(())
    }

    /// Writes the row of a meta key, its header and its body, which counts.
    pub fn put_row(&mut self, key: &MetaKey, header: &[u8], body: &[u8], counted: Counted) -> Result<(), StoreError> {
        self.overlay()?
            .put_counted(Cf::Meta, key.key(), Some([header, body]), counted);
        Ok(())
    }

    /// Deletes the row of a meta key, which counts.
    pub fn delete_row(&mut self, key: &MetaKey, counted: Counted) -> Result<(), StoreError> {
        self.overlay()?.put_counted(Cf::Meta, key.key(), None, counted);
        Ok(())
    }

    /// Logs a keyspace event of the command that is being evaluated: see [`crate::effects`]. Where nothing is logged,
    /// it does nothing.
    pub fn event(&mut self, event: u8, db: u16, key: &[u8]) {
        if let Some(overlay) = &mut self.overlay {
            overlay.event(event, db, key);
        }
    }

    /// An id for a collection that is being created.
    pub fn new_id(&mut self) -> Result<u64, StoreError> {
        let floor = self.state.store().id_floor();
        self.overlay()?.new_id(floor)
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
        let stored = (self.state.databases(), self.state.store().next_space());
        self.overlay()?.map(stored, db, space);
        Ok(())
    }

    fn overlay(&mut self) -> Result<&mut Overlay, StoreError> {
        match &mut self.overlay {
            Some(overlay) => Ok(overlay),
            None => Err(StoreError::ReadOnlyView),
        }
    }
}
