//! What is visible and not in RocksDB yet, in the order of its keys, for those who read ranges.
//!
//! Published rows go to a list as they come. Who wants to read a range *seals* the list: it becomes a [`Layer`], which never
//! changes and is sorted when it is first looked at, by whoever looks. So a writer pays nothing for being read, and a reader
//! waits for nobody. Settling writes layers to RocksDB and then drops them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use haypile_rows::{FETCHED_AHEAD, Row};
use parking_lot::Mutex;

use crate::keys::{DataKey, collection_of};
use crate::{Cf, SpaceId};

/// Rows of one column family, of all keyspaces; each key once.
pub(crate) struct Layer {
    cf: Cf,
    /// Positions of its rows are up to this.
    pub(crate) until: u64,
    pub(crate) bytes: usize,
    len: usize,
    unsorted: Mutex<Vec<Row>>,
    sorted: OnceLock<Sorted>,
}

struct Sorted {
    rows: Vec<Row>,
    /// Of each element the first bytes of its name, as [`front_of`] gives them: to look for one in what stands together in memory. Only
    /// in the column family of elements.
    fronts: Vec<u64>,
    /// Where the elements of each collection stand: only in the column family of elements.
    collections: HashMap<Collection, Range<usize>>,
}

/// A collection: the keyspace, and the row with which it begins.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Collection(SpaceId, Box<[u8]>);

/// The layers of a column family, the oldest first.
pub(crate) type Layers = Arc<Vec<Arc<Layer>>>;

impl Layer {
    pub(crate) fn new(cf: Cf, rows: Vec<Row>, until: u64, bytes: usize) -> Self {
        Layer {
            cf,
            until,
            bytes,
            len: rows.len(),
            unsorted: Mutex::new(rows),
            sorted: OnceLock::new(),
        }
    }

    /// One layer of several that follow each other, the oldest first, up to the last one's position.
    pub(crate) fn joined(cf: Cf, layers: &[Arc<Layer>], until: u64) -> Self {
        let bytes = layers.iter().map(|layer| layer.bytes).sum();
        let sorted = match cf {
            Cf::Data => join_elements(layers),
            Cf::Meta | Cf::Expiry => {
                let rows = layers.iter().flat_map(|layer| layer.rows()).cloned().collect();
                Sorted::of_rows(rows, Keys::Repeat)
            }
        };
        Layer {
            len: sorted.rows.len(),
            sorted: OnceLock::from(sorted),
            ..Layer::new(cf, Vec::new(), until, bytes)
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All rows in the order of keyspaces and keys.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.sorted().rows
    }

    /// All rows, in no order in particular.
    pub(crate) fn into_rows(self) -> Vec<Row> {
        match self.sorted.into_inner() {
            Some(sorted) => sorted.rows,
            None => self.unsorted.into_inner(),
        }
    }

    /// The keyspaces of its rows, and how many each has.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = (SpaceId, usize)> {
        let mut rest = self.rows();
        std::iter::from_fn(move || {
            let space = rest.first()?.space();
            let rows = rest.partition_point(|row| row.space() <= space);
            rest = &rest[rows..];
            Some((space, rows))
        })
    }

    /// The row of a key.
    pub(crate) fn get(&self, space: SpaceId, key: &[u8]) -> Option<&Row> {
        let rows = self.around(space, key);
        let at = rows
            .binary_search_by(|row| (row.space(), row.key()).cmp(&(space, key)))
            .ok()?;
        Some(&rows[at])
    }

    /// The rows from `lower` up to but not including `upper`.
    pub(crate) fn range(&self, space: SpaceId, lower: &[u8], upper: Option<&[u8]>) -> Range<usize> {
        if let Some(upper) = upper
            && same_collection(self.cf, lower, upper)
        {
            let within = self.place_of(space, lower);
            let start = self.element_from(&within, lower);
            let end = match is_of_same(lower, upper) {
                true => self.element_from(&within, upper),
                false => within.end,
            };
            return start..end.max(start);
        }
        let rows = self.rows();
        let start = rows.partition_point(|row| (row.space(), row.key()) < (space, lower));
        let end = match upper {
            Some(upper) => rows.partition_point(|row| (row.space(), row.key()) < (space, upper)),
            None => rows.partition_point(|row| row.space() <= space),
        };
        start..end.max(start)
    }

    /// The first of some rows of one keyspace, of elements of one collection, that is not below this key of the same.
    pub(crate) fn element_from(&self, within: &Range<usize>, key: &[u8]) -> usize {
        let Sorted { rows, fronts, .. } = self.sorted();
        let front = front_of(name_of(key));
        let fronts = &fronts[within.clone()];
        let start = within.start + fronts.partition_point(|other| *other < front);
        let same = fronts[start - within.start..].partition_point(|other| *other == front);
        start + rows[start..start + same].partition_point(|row| row.key() < key)
    }

    /// Those of them from `key` up to but not including `until`, which may be the collection's end: a few, as a rule.
    pub(crate) fn elements_between(&self, within: &Range<usize>, key: &[u8], until: &[u8]) -> Range<usize> {
        let start = self.element_from(within, key);
        if !is_of_same(key, until) {
            return start..within.end;
        }
        let fronts = &self.sorted().fronts[start..within.end];
        let front = front_of(name_of(until));
        let mut count = 1;
        while fronts.get(count - 1).is_some_and(|other| *other <= front) {
            count *= 2;
        }
        let near = start..start + count.min(fronts.len());
        start..self.element_from(&near, until)
    }

    fn around(&self, space: SpaceId, key: &[u8]) -> &[Row] {
        match self.cf {
            Cf::Data => &self.rows()[self.place_of(space, key)],
            Cf::Meta | Cf::Expiry => self.rows(),
        }
    }

    /// Where the collection of a data key stands.
    fn place_of(&self, space: SpaceId, key: &[u8]) -> Range<usize> {
        let prefix = collection_of(key).unwrap_or_default();
        let collection = Collection(space, prefix.into());
        self.sorted().collections.get(&collection).cloned().unwrap_or(0..0)
    }

    fn sorted(&self) -> &Sorted {
        self.sorted.get_or_init(|| {
            let rows = std::mem::take(&mut *self.unsorted.lock());
            match self.cf {
                Cf::Data => sort_elements(rows),
                Cf::Meta | Cf::Expiry => Sorted::of_rows(rows, Keys::Differ),
            }
        })
    }
}

impl Sorted {
    /// Of another column family than that of elements.
    fn of_rows(rows: Vec<Row>, keys: Keys) -> Self {
        Sorted {
            rows: second(sort_by_front(rows, keys, Row::prefetch, |row| (row.space(), row.key()))),
            fronts: Vec::new(),
            collections: HashMap::new(),
        }
    }
}

/// What is known of what is to be sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Each key is there once.
    Differ,
    /// A key may be there several times, of which the last is to stay; and there are long runs that are in order.
    Repeat,
}

/// True if a scan with these bounds stays within one collection.
fn same_collection(cf: Cf, lower: &[u8], upper: &[u8]) -> bool {
    cf == Cf::Data && DataKey::parse(lower).is_some_and(|lower| *upper <= lower.home.end()[..])
}

/// Sorts what has a number and bytes by both: mostly by comparing the number and the first twelve bytes, which stand
/// together in memory.
fn sort_by_front<T>(
    items: Vec<T>,
    keys: Keys,
    prefetch: impl Fn(&T),
    key: impl Fn(&T) -> (u32, &[u8]),
) -> Vec<(u128, T)> {
    let front = |item: &T| {
        let (number, bytes) = key(item);
        let mut front = [0; 16];
        front[..4].copy_from_slice(&number.to_be_bytes());
        let len = bytes.len().min(12);
        front[4..4 + len].copy_from_slice(&bytes[..len]);
        u128::from_be_bytes(front)
    };
    let mut numbers = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if let Some(ahead) = items.get(at + FETCHED_AHEAD) {
            prefetch(ahead);
        }
        numbers.push(front(item));
    }
    let mut fronts: Vec<(u128, T)> = numbers.into_iter().zip(items).collect();
    let order = |(a, item_a): &(u128, T), (b, item_b): &(u128, T)| a.cmp(b).then_with(|| key(item_a).cmp(&key(item_b)));
    match keys {
        Keys::Differ => fronts.sort_unstable_by(order),
        // It keeps the order of what is equal, and merges runs.
        Keys::Repeat => {
            fronts.sort_by(order);
            // Of what is equal the first stays, which is the last here.
            fronts.reverse();
            fronts.dedup_by(|a, b| order(a, b).is_eq());
            fronts.reverse();
        }
    }
    fronts
}

fn second<T>(fronts: Vec<(u128, T)>) -> Vec<T> {
    fronts.into_iter().map(|(_, item)| item).collect()
}

/// True if the upper bound of a range that stays within one collection is not the collection's end.
fn is_of_same(lower: &[u8], upper: &[u8]) -> bool {
    collection_of(lower).is_some_and(|prefix| upper.starts_with(prefix))
}

/// What a data key has behind the collection.
fn name_of(key: &[u8]) -> &[u8] {
    &key[collection_of(key).map_or(0, <[u8]>::len)..]
}

/// The first eight bytes of a name, as a number that has their order; shorter ones count as if zeros followed.
fn front_of(name: &[u8]) -> u64 {
    let mut front = [0; 8];
    let len = name.len().min(8);
    front[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(front)
}

/// Sorts elements: first the collections, then the elements of each.
fn sort_elements(rows: Vec<Row>) -> Sorted {
    let prefix_len = |row: &Row| collection_of(row.key()).map_or(0, <[u8]>::len);
    let mut numbers: HashMap<(SpaceId, &[u8]), u32> = HashMap::new();
    let mut members = Vec::with_capacity(rows.len());
    let mut last: Option<(SpaceId, &[u8], u32)> = None;
    for (at, row) in rows.iter().enumerate() {
        if let Some(ahead) = rows.get(at + FETCHED_AHEAD) {
            ahead.prefetch();
        }
        let prefix = &row.key()[..prefix_len(row)];
        // Neighbours are often of one collection.
        let number = match last {
            Some((space, last, number)) if space == row.space() && last == prefix => number,
            _ => {
                let next = numbers.len() as u32;
                *numbers.entry((row.space(), prefix)).or_insert(next)
            }
        };
        last = Some((row.space(), prefix, number));
        members.push(number);
    }
    let distinct: Vec<_> = numbers.into_iter().collect();
    let distinct = second(sort_by_front(
        distinct,
        Keys::Differ,
        |_| {},
        |((space, prefix), _)| (*space, prefix),
    ));
    let mut ranks = vec![0u32; distinct.len()];
    for (rank, (_, number)) in distinct.iter().enumerate() {
        ranks[*number as usize] = rank as u32;
    }
    let names: Vec<Collection> = distinct
        .into_iter()
        .map(|((space, prefix), _)| Collection(space, prefix.into()))
        .collect();
    let ranked: Vec<(u32, Row)> = members.iter().map(|number| ranks[*number as usize]).zip(rows).collect();
    let ranked = sort_by_front(
        ranked,
        Keys::Differ,
        |_| {},
        |(rank, row)| (*rank, &row.key()[prefix_len(row)..]),
    );
    let mut collections = HashMap::with_capacity(names.len());
    let mut start = 0;
    for (rank, name) in names.into_iter().enumerate() {
        let end = start + ranked[start..].partition_point(|(_, (r, _))| *r as usize <= rank);
        collections.insert(name, start..end);
        start = end;
    }
    // Behind the number of the collection.
    let fronts = ranked.iter().map(|(front, _)| (front >> 32) as u64).collect();
    Sorted {
        rows: ranked.into_iter().map(|(_, (_, row))| row).collect(),
        fronts,
        collections,
    }
}

/// Puts elements together that are sorted. Of layers it takes what they know: the rows are looked at only where names begin alike.
fn join_elements(layers: &[Arc<Layer>]) -> Sorted {
    let sorted = || layers.iter().map(|layer| layer.sorted());
    let mut names: Vec<&Collection> = sorted().flat_map(|sorted| sorted.collections.keys()).collect();
    names.sort_unstable_by_key(|Collection(space, prefix)| (*space, prefix));
    names.dedup();
    let len = sorted().map(|sorted| sorted.rows.len()).sum();
    let mut joined = Sorted {
        rows: Vec::with_capacity(len),
        fronts: Vec::with_capacity(len),
        collections: HashMap::with_capacity(names.len()),
    };
    let order = |a: &(u64, &Row), b: &(u64, &Row)| a.0.cmp(&b.0).then_with(|| a.1.key().cmp(b.1.key()));
    let mut elements = Vec::new();
    for name in names {
        for sorted in sorted() {
            let within = sorted.collections.get(name).cloned().unwrap_or(0..0);
            let fronts = sorted.fronts[within.clone()].iter().copied();
            elements.extend(fronts.zip(&sorted.rows[within]));
        }
        // It keeps the order of what is equal, and merges runs.
        elements.sort_by(order);
        let start = joined.rows.len();
        for (at, element) in elements.iter().enumerate() {
            if let Some((_, ahead)) = elements.get(at + FETCHED_AHEAD) {
                ahead.prefetch();
            }
            // Of what is equal the last stays.
            if elements.get(at + 1).is_none_or(|next| order(element, next).is_ne()) {
                joined.fronts.push(element.0);
                joined.rows.push(element.1.clone());
            }
        }
        joined.collections.insert(name.clone(), start..joined.rows.len());
        elements.clear();
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use haypile_rows::{Key, RowTable};
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Home;

    proptest! {
        #[test]
        fn of_joined_layers_the_newest_rows_stay(writes in prop::collection::vec((0usize..5, 0u64..3, 0u8..30, any::<bool>()), 1..200)) {
            for cf in [Cf::Data, Cf::Meta] {
                let table = RowTable::new(0);
                let mut newest = BTreeMap::new();
                let mut layers: Vec<BTreeMap<Vec<u8>, Row>> = Vec::new();
                let mut writes = writes.clone();
                writes.sort_by_key(|(layer, ..)| *layer);
                for (position, (layer, id, name, is_put)) in writes.iter().enumerate() {
                    // Some differ behind the first bytes only.
                    let name = [&b"the same beginning"[..usize::from(name % 2) * 18], &[*name]].concat();
                    let key = Home { slot: 1, id: *id }.element(&name);
                    let value = is_put.then(|| position.to_be_bytes());
                    let value = value.as_ref().map(|value| &value[..]);
                    let row = table.publish(Key::new(0, cf as u8, &key), value, position as u64).row;
                    newest.insert(key.clone(), value.map(<[u8]>::to_vec));
                    layers.resize_with(layer + 1, BTreeMap::new);
                    layers[*layer].insert(key, row);
                }
                let made = |rows: BTreeMap<_, Row>| Arc::new(Layer::new(cf, rows.into_values().collect(), 7, 1));
                let layers: Vec<_> = layers.into_iter().map(made).collect();
                let joined = Layer::joined(cf, &layers, 9);
                let found: Vec<_> = joined.rows().iter().map(|row| (row.key().to_vec(), row.value().map(<[u8]>::to_vec))).collect();
                prop_assert_eq!(joined.len(), found.len());
                for key in newest.keys() {
                    let end = [&key[..], &[0]].concat();
                    prop_assert_eq!(joined.range(0, key, Some(&end)).len(), 1);
                    prop_assert_eq!(joined.get(0, key).unwrap().key(), &key[..]);
                    let home = DataKey::parse(key).unwrap().home;
                    let within = joined.range(0, &home.first(), Some(&home.end()));
                    for until in newest.keys().filter(|until| cf == Cf::Data && until.starts_with(&home.prefix()) && *until >= key) {
                        let between = joined.elements_between(&within, key, until);
                        prop_assert_eq!(between, joined.range(0, key, Some(until)));
                    }
                    if cf == Cf::Data {
                        let behind = joined.elements_between(&within, key, &home.end());
                        prop_assert_eq!(behind, joined.range(0, key, Some(&home.end())));
                    }
                }
                prop_assert_eq!(found, newest.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
