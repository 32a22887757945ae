//! The partitions of this process: which there are, which slots each has, and the data of those that are open.
//!
//! A partition is a contiguous range of the slots. A server that stands alone has one, with all of them. Whoever works on a
//! partition asks for it by a slot or by its id each time, uses it and lets it go: a partition may be taken away, while a
//! checkpoint takes the place of its data, and opened again.
//!
//! All partitions are one immutable picture, which is replaced as a whole. Finding one costs one look at that, whatever their number,
//! and where there is one with all slots, the slot is not even computed.

mod open;

use std::ops::{Deref, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use haypile_commands::CommandError;
use haypile_partition::{GroupView, PartitionStats};
use haypile_store::{Counts, StoreStats};
use haypile_sync::PartitionId;
use haypile_types::SLOTS;
use parking_lot::Mutex;
use smallvec::SmallVec;

pub use open::OpenPartition;

/// The answer while a partition is not open.
pub const LOADING: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "LOADING Redis is loading the dataset in memory",
));

/// Time between two looks whether a partition is still in use, and how long that may go on without a line in the log.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const LONG_USE: Duration = Duration::from_secs(10);

/// The directory of the partitions, in the data directory.
const DIR: &str = "partitions";

/// The one partition of a server that stands alone. It has all slots.
pub fn standalone_id() -> PartitionId {
    PartitionId {
        table: "0".into(),
        number: 0,
    }
}

/// A partition's directory within a data directory, or within a checkpoint of one.
pub fn dir_of(data_dir: &Path, id: &PartitionId) -> PathBuf {
    data_dir.join(DIR).join(id.number.to_string())
}

/// The partitions of this process.
pub struct Partitions {
    map: ArcSwap<Map>,
    /// Held by who replaces the picture.
    changing: Mutex<()>,
}

/// Which there are, by their slots.
#[derive(Clone)]
struct Map {
    // One stands inline, so that it is found without a look elsewhere.
    places: SmallVec<[Place; 1]>,
    /// There is one, and it has all slots.
    whole: bool,
}

#[derive(Clone)]
struct Place {
    id: PartitionId,
    slots: RangeInclusive<u16>,
    /// `None` while the data is being replaced.
    open: Option<Arc<OpenPartition>>,
}

/// What is not here is not open.
static NONE: Option<Arc<OpenPartition>> = None;

/// A partition in use: nothing takes the place of its data meanwhile. `None` if it is not open. To be let go soon: clone what is in it
/// for what takes long, so that other partitions can be changed meanwhile.
pub struct Using {
    map: Guard<Arc<Map>>,
    /// Its place; one past the end if it is not here.
    at: usize,
}

impl Deref for Using {
    type Target = Option<Arc<OpenPartition>>;

    #[inline]
    fn deref(&self) -> &Option<Arc<OpenPartition>> {
        self.map.places.get(self.at).map_or(&NONE, |place| &place.open)
    }
}

impl Map {
    fn of(mut places: SmallVec<[Place; 1]>) -> Map {
        places.sort_by_key(|place| *place.slots.start());
        let apart = places.windows(2).all(|two| two[0].slots.end() < two[1].slots.start());
        assert!(apart, "two partitions must not have the same slot");
        let whole = places.len() == 1 && places[0].slots == (0..=SLOTS - 1);
        Map { places, whole }
    }

    #[inline]
    fn of_slot(&self, slot: impl FnOnce() -> u16) -> usize {
        match self.whole {
            true => 0,
            false => self.search(slot()),
        }
    }

    fn search(&self, slot: u16) -> usize {
        let behind = self.places.partition_point(|place| *place.slots.start() <= slot);
        let before = behind
            .checked_sub(1)
            .filter(|at| self.places[*at].slots.contains(&slot));
        before.unwrap_or(self.places.len())
    }

    fn of_id(&self, id: &PartitionId) -> usize {
        let place = self.places.iter().position(|place| place.id == *id);
        place.unwrap_or(self.places.len())
    }
}

impl Partitions {
    /// One with all slots.
    pub fn standalone(open: OpenPartition) -> Partitions {
        let place = Place {
            id: standalone_id(),
            slots: 0..=SLOTS - 1,
            open: Some(Arc::new(open)),
        };
        Partitions {
            map: ArcSwap::from_pointee(Map::of(SmallVec::from([place]))),
            changing: Mutex::new(()),
        }
    }

    /// The partition that has a slot; not open if it is not here. The slot is only asked for if there are several.
    #[inline]
    pub fn of_slot(&self, slot: impl FnOnce() -> u16) -> Using {
        let map = self.map.load();
        let at = map.of_slot(slot);
        Using { map, at }
    }

    /// The partition of this name; not open if it is not here.
    pub fn of(&self, id: &PartitionId) -> Using {
        let map = self.map.load();
        let at = map.of_id(id);
        Using { map, at }
    }

    /// True if there is such a partition here, open or not.
    pub fn has(&self, id: &PartitionId) -> bool {
        let map = self.map.load();
        map.of_id(id) < map.places.len()
    }

    /// The partition of a server that stands alone, for what concerns all data and knows of one partition only: who comes here has to
    /// say, when there are several, which is meant.
    #[inline]
    pub fn the_one(&self) -> Using {
        self.of_slot(|| 0)
    }

    /// What the replica group is like in which this server is a member, if it is.
    pub fn group_view(&self) -> Option<GroupView> {
        self.the_one().as_ref()?.group_view()
    }

    /// The names of all.
    pub fn ids(&self) -> Vec<PartitionId> {
        self.map.load().places.iter().map(|place| place.id.clone()).collect()
    }

    /// Those that are open, to keep.
    pub fn all_open(&self) -> Vec<Arc<OpenPartition>> {
        let map = self.map.load();
        map.places.iter().filter_map(|place| place.open.clone()).collect()
    }

    /// Opens a partition that is not.
    ///
    /// # Panics
    /// It is open, or there is no such partition.
    pub fn put(&self, id: &PartitionId, open: OpenPartition) {
        let before = self.replace(id, Some(Arc::new(open)));
        assert!(before.is_none(), "the partition {id} is opened twice");
    }

    fn replace(&self, id: &PartitionId, open: Option<Arc<OpenPartition>>) -> Option<Arc<OpenPartition>> {
        let _changing = self.changing.lock();
        let mut map = Map::clone(&self.map.load());
        let at = map.of_id(id);
        let place = map.places.get_mut(at);
        assert!(place.is_some(), "there is no partition {id}");
        let before = place.and_then(|place| std::mem::replace(&mut place.open, open));
        self.map.store(Arc::new(map));
        before
    }

    /// Takes a partition's data away, waits until nobody uses it any more, tells its clients, and ends it without saving. Its
    /// directory is free then.
    pub fn close(&self, id: &PartitionId) {
        let Some(mut open) = self.replace(id, None) else { return };
        open.store().cancel_compaction();
        open.maintenance.stop();
        let mut since = Instant::now();
        let open = loop {
            match Arc::try_unwrap(open) {
                Ok(open) => break open,
                Err(shared) => open = shared,
            }
            if since.elapsed() >= LONG_USE {
                tracing::warn!(partition = %id, "the old data is still in use: waiting for it before it is replaced");
                since = Instant::now();
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        open.partition.retire();
    }

    /// Exact counters of each database.
    pub fn counts(&self) -> Vec<Counts> {
        self.the_one().as_ref().map(|data| data.counts()).unwrap_or_default()
    }

    /// Figures.
    pub fn stats(&self) -> PartitionStats {
        self.the_one().as_ref().map(|data| data.stats()).unwrap_or_default()
    }

    /// RocksDB's figures.
    pub fn store_stats(&self) -> StoreStats {
        let data = self.the_one();
        data.as_ref().map(|data| data.store().stats()).unwrap_or_default()
    }

    /// Why the disk takes no writes; `None` while it does.
    pub fn refusal(&self) -> Option<String> {
        self.all_open().iter().find_map(|data| data.refusal())
    }

    /// Ends the wait of a blocked client, see [`Hold::unblock`]. Not for who is within a turn: that has a hold of its own.
    ///
    /// [`Hold::unblock`]: haypile_partition::Hold::unblock
    pub fn unblock(&self, client: u64, why: Option<CommandError>) -> bool {
        self.the_one()
            .as_ref()
            .is_some_and(|data| data.hold().unblock(client, why))
    }

    /// Ends waits as if their time were over, see [`Partition::unblock_all`].
    ///
    /// [`Partition::unblock_all`]: haypile_partition::Partition::unblock_all
    pub fn unblock_all(&self, choose: impl FnOnce() -> Vec<u64>) {
        if let Some(data) = &*self.the_one() {
            data.unblock_all(choose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32, slots: RangeInclusive<u16>) -> Place {
        let table = "t".into();
        Place {
            id: PartitionId { table, number },
            slots,
            open: None,
        }
    }

    fn map(places: impl IntoIterator<Item = Place>) -> Map {
        Map::of(places.into_iter().collect())
    }

    #[test]
    fn one_partition_is_found_without_a_slot() {
        let map = map([place(0, 0..=SLOTS - 1)]);
        assert_eq!(map.of_slot(|| panic!("the slot is asked for")), 0);
    }

    #[test]
    fn each_slot_is_found_in_its_partition() {
        let map = map([place(2, 200..=299), place(0, 0..=99), place(1, 100..=150)]);
        let found = |slot| map.places.get(map.of_slot(|| slot)).map(|place| place.id.number);
        for (slot, number) in [(0, 0), (99, 0), (100, 1), (150, 1), (200, 2), (299, 2)] {
            assert_eq!(found(slot), Some(number), "{slot}");
        }
        for slot in [151, 199, 300, SLOTS - 1] {
            assert_eq!(found(slot), None, "{slot}");
        }
        let of = |number| map.of_id(&place(number, 0..=0).id);
        assert_eq!([of(0), of(1), of(2), of(3)], [0, 1, 2, 3]);
    }

    #[test]
    fn a_part_of_the_slots_is_not_all_of_them() {
        let map = map([place(0, 1..=SLOTS - 1)]);
        assert_eq!([map.of_slot(|| 0), map.of_slot(|| 1)], [1, 0]);
    }

    #[test]
    #[should_panic(expected = "the same slot")]
    fn two_partitions_with_one_slot_are_refused() {
        map([place(0, 0..=99), place(1, 99..=150)]);
    }
}
