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
        let mut rows: Vec<&Row> = layers.iter().flat_map(|layer| layer.rows()).collect();
        // Stable, so that of several rows of a key the newest comes last; and quick where some parts are in order.
        rows.sort_by(|a, b| (a.space(), a.key()).cmp(&(b.space(), b.key())));
        let is_newest = |at: usize| {
            let next = rows.get(at + 1);
            next.is_none_or(|next| (next.space(), next.key()) != (rows[at].space(), rows[at].key()))
        };
        let newest = (0..rows.len()).filter(|at| is_newest(*at));
        let rows: Vec<Row> = newest.map(|at| rows[at].clone()).collect();
        let bytes = layers.iter().map(|layer| layer.bytes).sum();
        let Some(collections) = collections_of(cf, &rows) else {
            return Layer::new(cf, rows, until, bytes);
        };
        Layer {
            len: rows.len(),
            sorted: OnceLock::from(Sorted { rows, collections }),
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
        let within = match upper {
            Some(upper) if same_collection(self.cf, lower, upper) => self.place_of(space, lower),
            _ => 0..self.rows().len(),
        };
        let rows = &self.rows()[within.clone()];
        let start = rows.partition_point(|row| (row.space(), row.key()) < (space, lower));
        let end = match upper {
            Some(upper) => rows.partition_point(|row| (row.space(), row.key()) < (space, upper)),
            None => rows.partition_point(|row| row.space() <= space),
        };
        within.start + start..within.start + end.max(start)
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
                Cf::Meta | Cf::Expiry => Sorted {
                    rows: sort_by_front(rows, Row::prefetch, |row| (row.space(), row.key())),
                    collections: HashMap::new(),
                },
            }
        })
    }
}

/// Where the elements of each collection stand among rows that are in the order of their keys; `None` if there is one whose key is none
/// of an element.
fn collections_of(cf: Cf, rows: &[Row]) -> Option<HashMap<Collection, Range<usize>>> {
    let mut collections = HashMap::new();
    if cf != Cf::Data {
        return Some(collections);
    }
    let mut start = 0;
    while let Some(first) = rows.get(start) {
        let prefix = collection_of(first.key())?;
        let is_of = |row: &Row| row.space() == first.space() && row.key().starts_with(prefix);
        let end = start + rows[start..].partition_point(is_of);
        collections.insert(Collection(first.space(), prefix.into()), start..end);
        start = end;
    }
    Some(collections)
}

/// True if a scan with these bounds stays within one collection.
fn same_collection(cf: Cf, lower: &[u8], upper: &[u8]) -> bool {
    cf == Cf::Data && DataKey::parse(lower).is_some_and(|lower| *upper <= lower.home.end()[..])
}

/// Sorts what has a number and bytes by both: mostly by comparing the number and the first twelve bytes, which stand
/// together in memory.
fn sort_by_front<T>(items: Vec<T>, prefetch: impl Fn(&T), key: impl Fn(&T) -> (u32, &[u8])) -> Vec<T> {
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
    fronts.sort_unstable_by(|(a, item_a), (b, item_b)| a.cmp(b).then_with(|| key(item_a).cmp(&key(item_b))));
    fronts.into_iter().map(|(_, item)| item).collect()
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
    let distinct = sort_by_front(distinct, |_| {}, |((space, prefix), _)| (*space, prefix));
    let mut ranks = vec![0u32; distinct.len()];
    for (rank, (_, number)) in distinct.iter().enumerate() {
        ranks[*number as usize] = rank as u32;
    }
    let names: Vec<Collection> = distinct
        .into_iter()
        .map(|((space, prefix), _)| Collection(space, prefix.into()))
        .collect();
    let ranked: Vec<(u32, Row)> = members.iter().map(|number| ranks[*number as usize]).zip(rows).collect();
    let ranked = sort_by_front(ranked, |_| {}, |(rank, row)| (*rank, &row.key()[prefix_len(row)..]));
    let mut collections = HashMap::with_capacity(names.len());
    let mut start = 0;
    for (rank, name) in names.into_iter().enumerate() {
        let end = start + ranked[start..].partition_point(|(r, _)| *r as usize <= rank);
        collections.insert(name, start..end);
        start = end;
    }
    Sorted {
        rows: ranked.into_iter().map(|(_, row)| row).collect(),
        collections,
    }
}
