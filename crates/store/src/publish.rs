//! Publishing: committed entries become visible to readers, a turn at one instant.
//!
//! Rows go into the table one by one, where readers pass over them, because their position is not visible yet. Then, in one moment, what
//! else the turn changes is noted and its position becomes visible. What it has superseded is kept for readers who entered before.

mod install;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_rows::{Draft, Eras, FETCHED_AHEAD, Guard, Key, Limbo, Published, Row};
use haypile_types::Position;
use smallvec::SmallVec;

use crate::counts::SlotChange;
use crate::effects::{Effect, Effects};
use crate::keys::parse_expiry_key;
use crate::orders::{Came, Selected};
use crate::overlay::{Drafts, NewValue};
use crate::replay::{Held, Replayed};
use crate::store::Store;
use crate::{Cf, Overlay, SpaceId, StoreError};

/// The mark of a store in which no key was given an expiry: see [`Store::take_first_expiry`].
pub(crate) const NO_EXPIRY: u64 = u64::MAX;

/// What publishing changed beyond keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// A database is another keyspace now. Once the log is safe on disk, [`Store::drop_unmapped`] frees the old one.
    pub remapped: bool,
    /// Rows that are published and not settled.
    pub dirty_rows: usize,
    /// Their bytes.
    pub dirty_bytes: usize,
}

/// What a published row takes until it is settled, beyond its key and value: its head and its slot, its places in the lists of who
/// publishes and who settles, and what the allocator rounds up.
const UNSETTLED_ROW_BYTES: usize = 128;

impl Applied {
    /// What is published and not settled takes about so many bytes of memory.
    pub fn unsettled_bytes(&self) -> usize {
        self.dirty_bytes + self.dirty_rows.saturating_mul(UNSETTLED_ROW_BYTES)
    }
}

/// What only who publishes touches.
#[derive(Default)]
pub(crate) struct Publisher {
    /// The turn that is being published, by column family.
    rows: [Vec<New>; 3],
    bytes: [usize; 3],
    counted: Vec<SlotChange>,
    maps: Vec<(u16, SpaceId)>,
    /// Who belongs to the replica group from now on.
    members: Option<Arc<[u8]>>,
    /// What the turn has superseded.
    superseded: Vec<Row>,
    /// What earlier turns have, and readers may still look at.
    limbo: Limbo,
    /// What has this tag or an earlier one can be freed: nobody reads any more who may look at it.
    freeable: u64,
    /// Which keyspaces the databases are, and were as long as somebody may read that; the newest first.
    databases: Vec<DatabasesVersion>,
    held: Held,
    /// Readers were told to end when so much was kept.
    recalled_at: usize,
    /// Keyspaces of which nothing is published any more.
    dead: HashSet<SpaceId>,
    /// The earliest expiry that the turn has written.
    first_expiry: Option<u64>,
    /// Deletions of what was never settled.
    gone: Vec<Row>,
    /// What orders of collections have to be told.
    came: Vec<Selected>,
}

struct DatabasesVersion {
    from: u64,
    dbs: Arc<[SpaceId]>,
    /// For how long it is kept for readers: a tag, and more than any as long as it is the newest.
    kept: u64,
}

/// A version that the turn publishes, and the one that it may have to replace in the list of the newest.
struct New {
    row: Row,
    /// Where it stands in [`Publisher::superseded`], if it was dirty.
    before: Option<usize>,
}

impl Publisher {
    pub(crate) fn new(dbs: &[SpaceId]) -> Self {
        let version = DatabasesVersion {
            from: 0,
            dbs: dbs.into(),
            kept: u64::MAX,
        };
        Publisher {
            databases: vec![version],
            ..Publisher::default()
        }
    }

    /// The keyspaces that the databases are after the last turn.
    fn dbs(&self) -> &[SpaceId] {
        let newest = self.databases.first();
        assert!(newest.is_some(), "a store always has databases");
        newest.map_or(&[], |newest| &newest.dbs)
    }

    /// Bytes that readers keep from being freed.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.limbo.bytes()
    }

    fn row(&mut self, store: &Store, key: Key<'_>, value: Option<&[u8]>, position: u64) {
        self.limbo.free_one(self.freeable);
        if key.family == Cf::Expiry as u8
            && value.is_some()
            && let Some((at, _)) = parse_expiry_key(key.key)
        {
            self.first_expiry = Some(self.first_expiry.map_or(at, |first| first.min(at)));
        }
        let published = store.rows.publish(key, value, position);
        self.list(published, position);
    }

    /// Publishes a row that was put together before.
    fn draft(&mut self, store: &Store, draft: Draft, position: u64) {
        self.limbo.free_one(self.freeable);
        let published = store.rows.publish_draft(draft, position);
        self.list(published, position);
    }

    /// Notes a version that is in the table now.
    fn list(&mut self, Published { row, before }: Published, position: u64) {
        let family = usize::from(row.family());
        self.bytes[family] += row.len();
        let rows = &mut self.rows[family];
        if let Some(before) = &before
            && before.position() == position
            && let Some(new) = rows.get_mut(before.place())
            && new.row.is_same(before)
        {
            self.bytes[family] -= before.len();
            row.set_place(before.place());
            new.row = row;
        } else {
            row.set_place(rows.len());
            let listed = before.as_ref().is_some_and(Row::is_dirty);
            let before = listed.then_some(self.superseded.len());
            rows.push(New { row, before });
        }
        self.superseded.extend(before);
    }

    fn rows<'w>(
        &mut self,
        store: &Store,
        guard: &Guard<'_>,
        mut writes: impl Iterator<Item = (Key<'w>, NewValue<'w>)> + Clone,
        drafts: &mut Drafts,
        position: u64,
    ) {
        loop {
            let chunk = writes.clone().take(FETCHED_AHEAD);
            store.rows.prefetch_to_publish(guard, chunk.map(|(key, _)| key.hash));
            self.limbo.prefetch(FETCHED_AHEAD);
            let mut any = false;
            for (key, value) in writes.by_ref().take(FETCHED_AHEAD) {
                any = true;
                match value {
                    NewValue::Bytes(value) => self.row(store, key, value, position),
                    NewValue::Draft(number) => {
                        let draft = drafts.take(number);
                        assert!(draft.is_some(), "a draft is published once");
                        draft.into_iter().for_each(|draft| self.draft(store, draft, position));
                    }
                }
            }
            if !any {
                return;
            }
        }
    }

    fn effect(&mut self, store: &Store, effect: Effect<'_>, position: u64) -> Result<(), StoreError> {
        if !self.dead.is_empty() && effect.space().is_some_and(|space| self.dead.contains(&space)) {
            return Ok(());
        }
        match effect {
            Effect::Put {
                space,
                cf,
                key,
                value,
                counted,
            } => {
                self.counted.extend(SlotChange::of(space, key, counted));
                self.supersede(space, cf, key);
                self.element(store, space, cf, (key, 1));
                self.row(store, Key::new(space, cf as u8, key), Some(value), position);
            }
            Effect::Delete {
                space,
                cf,
                key,
                counted,
            } => {
                self.counted.extend(SlotChange::of(space, key, counted));
                self.supersede(space, cf, key);
                self.element(store, space, cf, (key, -1));
                self.row(store, Key::new(space, cf as u8, key), None, position);
            }
            Effect::Map { db, space } => {
                let databases = self.dbs().len();
                if usize::from(db) >= databases {
                    return Err(StoreError::Corrupt(format!(
                        "entry {position} names database {db}, and there are {databases}"
                    )));
                }
                self.maps.push((db, space));
            }
            Effect::Members { bytes } => self.members = Some(bytes.into()),
            Effect::Patch {
                space,
                key,
                patch,
                counted,
            } => {
                self.counted.extend(SlotChange::of(space, key, counted));
                self.patch(store, space, key, patch, position)?;
            }
            Effect::Tag { .. } | Effect::EventOfRow { .. } | Effect::Event { .. } => {}
        }
        Ok(())
    }

    /// Has the processor fetch what the next effects change.
    fn prefetch(&mut self, store: &Store, effects: Effects<'_>) {
        let hashes = effects.take(FETCHED_AHEAD).flatten().filter_map(|effect| match effect {
            Effect::Put { space, cf, key, .. } | Effect::Delete { space, cf, key, .. } => {
                Some(Key::new(space, cf as u8, key).hash)
            }
            _ => None,
        });
        let hashes: SmallVec<[u64; FETCHED_AHEAD]> = hashes.collect();
        let guard = Eras::enter();
        store.rows.prefetch_to_publish(&guard, hashes.iter().copied());
        self.limbo.prefetch(hashes.len());
    }

    /// An effect brings an element or takes it.
    fn element(&mut self, store: &Store, space: SpaceId, cf: Cf, came: Came<'_>) {
        if cf == Cf::Data {
            store.orders.select(std::iter::once((space, came)), &mut self.came);
        }
    }

    fn supersede(&mut self, space: SpaceId, cf: Cf, key: &[u8]) {
        if cf == Cf::Meta {
            self.held.superseded(space, key);
        }
    }

    /// Publishes a row with its changes, or keeps it for more of them.
    fn patch(
        &mut self,
        store: &Store,
        space: SpaceId,
        key: &[u8],
        patch: &[u8],
        position: u64,
    ) -> Result<(), StoreError> {
        match self.held.patch(store, space, key, patch)? {
            Replayed::Nothing => {}
            Replayed::Row(row) => self.row(store, Key::new(space, Cf::Meta as u8, key), Some(&row), position),
            Replayed::Drafts(drafts) => drafts.into_iter().for_each(|draft| self.draft(store, draft, position)),
        }
        Ok(())
    }
}

impl Store {
    /// Bytes of superseded versions that are kept for readers.
    pub fn retained_bytes(&self) -> usize {
        self.publisher.lock().retained_bytes()
    }

    /// The earliest expiry, in milliseconds since the epoch, that was given to any key since the last call; `None` if none
    /// was. Who then reads the newest state sees these keys.
    pub fn take_first_expiry(&self) -> Option<u64> {
        let first = self.first_expiry.swap(NO_EXPIRY, Ordering::AcqRel);
        (first != NO_EXPIRY).then_some(first)
    }

    /// Rows that are published and not settled.
    pub fn unsettled_rows(&self) -> usize {
        let settled = self.settled_index();
        let front = self.visible.front.lock();
        front.families.iter().map(|family| family.unsettled(settled).0).sum()
    }

    /// Memory that these rows take, bytes: see [`Applied::unsettled_bytes`].
    pub fn unsettled_bytes(&self) -> usize {
        let settled = self.settled_index();
        let front = self.visible.front.lock();
        let of = |(dirty_rows, dirty_bytes)| Applied {
            dirty_rows,
            dirty_bytes,
            ..Applied::default()
        };
        let families = front.families.iter().map(|family| of(family.unsettled(settled)));
        families.map(|unsettled| unsettled.unsettled_bytes()).sum()
    }

    /// Publishes the oldest pending turn, whose last entry is at `position`, and drops it from the overlay.
    ///
    /// # Panics
    /// If the counters of keys do not fit: the turn was evaluated for other rows than those that are there.
    pub fn apply_oldest(&self, overlay: &mut Overlay, position: Position, clock: u64) -> Applied {
        let mut publisher = self.publisher.lock();
        let mut drafts = overlay.take_oldest_drafts();
        if let Some(turn) = overlay.oldest() {
            let guard = Eras::enter();
            publisher.rows(self, &guard, turn.writes(), &mut drafts, position.index);
            drop(guard);
            publisher.counted.extend_from_slice(turn.counted());
            publisher.maps.extend(turn.maps());
            if !self.orders.are_none() {
                self.orders.select(turn.came(), &mut publisher.came);
            }
        }
        overlay.retire_oldest();
        let installed = publisher.install(self, position, clock);
        publisher.retire(self.shared.budget.kept_bytes);
        match installed {
            Ok(applied) => applied,
            // Its effects were made for the rows that are there.
            Err(error) => panic!("a turn that was evaluated here does not fit: {error}"),
        }
    }

    /// Names keyspaces that no database is any more when the log ends that is to be replayed. They may have been freed already,
    /// which takes effect on disk at once (see [`Store::drop_unmapped`]): patches of their rows need not fit. What
    /// [`Store::replay`] meets of them from now on is passed over.
    pub fn pass_over(&self, dead: HashSet<SpaceId>) {
        self.publisher.lock().dead = dead;
    }

    /// Publishes logged payloads again, in order: recovery, and what followers do.
    ///
    /// # Errors
    /// A payload that cannot be read. What comes before it is in the table, where nobody sees it; the store is of no use
    /// any more.
    pub fn replay(&self, payloads: &[u8], position: Position, clock: u64) -> Result<Applied, StoreError> {
        self.fetch_patched(payloads)?;
        let mut publisher = self.publisher.lock();
        // What an earlier batch that failed has left.
        publisher.held.drain();
        let mut effects = Effects::new(payloads);
        loop {
            publisher.prefetch(self, effects.clone());
            let mut any = false;
            for effect in effects.by_ref().take(FETCHED_AHEAD) {
                any = true;
                publisher.effect(self, effect?, position.index)?;
            }
            if !any {
                break;
            }
        }
        for draft in publisher.held.drain() {
            publisher.draft(self, draft, position.index);
        }
        let applied = publisher.install(self, position, clock)?;
        publisher.retire(self.shared.budget.kept_bytes);
        Ok(applied)
    }
}
