//! Digests of what keys hold, for DEBUG DIGEST and DEBUG DIGEST-VALUE, and to compare a primary with its replicas.
//!
//! A digest depends on the logical content only: not on the order in which it came about, nor on the ids of
//! collections, nor on where in the numbers a list begins. It has the expiry of a key to the millisecond, and keys whose
//! time is over until they are removed, so after the same log entry it is the same on all nodes, at any time.
//!
//! ```text
//! digest of a database     the sum of a row's hash for each key and of an elements' hash for each collection
//! row's hash               xxh3-128 of: 0 u8 | database u16 | key length u64 | key | digest of the row
//! elements' hash           xxh3-128 of: 1 u8 | database u16 | key length u64 | key | digest of the elements
//!
//! digest of a value        xxh3-128 of: digest of the row | digest of the elements, 0 for a string
//! digest of a row          xxh3-128 of: kind u8 | 0 or expire-at u64 | xxh3-128 of a string's bytes, a collection's size u128
//! digest of the elements   the sum over the elements of xxh3-128 of: length u64 | element | value
//! ```
//!
//! Numbers are little endian, sums modulo 2^128. The element is what stands after the data prefix, for a list its place
//! from the head on.

use std::fmt;

use haypile_store::keys::{Home, meta_key, user_key};
use haypile_store::packed;
use haypile_store::row::{Header, Kind, Spread};
use haypile_store::{Cf, Direction, SpaceId, StoreError, View};
use xxhash_rust::xxh3::xxh3_128;

use crate::collection::for_each_element;

/// A sum of hashes; 0 of nothing. Shown as 40 hexadecimal digits, the length of Redis' digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:040x}", self.0)
    }
}

impl Digest {
    /// Adds a part, in any order.
    pub fn add(&mut self, part: Digest) {
        self.0 = self.0.wrapping_add(part.0);
    }
}

/// The digest of all databases. The view should have a snapshot, or be for writing.
pub fn everything(view: &mut View<'_>) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    for (_, _, part) in databases(view)? {
        digest.add(part);
    }
    Ok(digest)
}

/// Number, keys and digest of each database that has keys. Reads each once from end to end.
pub fn databases(view: &mut View<'_>) -> Result<Vec<(u16, u64, Digest)>, StoreError> {
    let mut digests = Vec::new();
    for db in 0..view.databases() {
        let (keys, digest) = database(view, db)?;
        if keys > 0 {
            digests.push((db, keys, digest));
        }
    }
    Ok(digests)
}

/// Collections whose rows are read before their elements are.
const COLLECTIONS_MAX: usize = 1000;

/// The keys and the digest of a database.
fn database(view: &mut View<'_>, db: u16) -> Result<(u64, Digest), StoreError> {
    let space = view.space(db);
    let mut hasher = Hasher::default();
    let mut digest = Digest::default();
    let mut keys = 0;
    let mut lower = Vec::new();
    let mut is_last = false;
    let mut collections = Vec::new();
    while !is_last {
        is_last = true;
        let mut rows = view.scan(space, Cf::Meta, &lower.clone(), None, Direction::Forward)?;
        while let Some((meta, row)) = rows.next()? {
            if collections.len() == COLLECTIONS_MAX {
                meta.clone_into(&mut lower);
                is_last = false;
                break;
            }
            let row = Row::parse(row)?;
            digest.add(hasher.key(ROW, db, user_key(meta), row.digest()?));
            keys += 1;
            if row.header.packed {
                let elements = row.packed_elements(&mut hasher)?;
                digest.add(hasher.key(ELEMENTS, db, user_key(meta), elements));
            }
            if let Some(home) = row.header.home {
                collections.push((user_key(meta).to_vec(), row.header.kind, home));
            }
        }
        drop(rows);
        for (key, kind, home) in collections.drain(..) {
            let elements = of_elements(view, &mut hasher, space, kind, home)?;
            digest.add(hasher.key(ELEMENTS, db, &key, elements.sum));
        }
    }
    Ok((keys, digest))
}

/// The digest of a key's value, the same whatever the key; `None` if there is no such key.
pub fn value(view: &mut View<'_>, db: u16, key: &[u8]) -> Result<Option<Digest>, StoreError> {
    let space = view.space(db);
    let Some(bytes) = view.get(space, Cf::Meta, &meta_key(key))? else {
        return Ok(None);
    };
    let row = Row::parse(&bytes)?;
    let mut elements = Elements::default();
    let mut hasher = Hasher::default();
    if row.header.packed {
        elements.sum = row.packed_elements(&mut hasher)?;
    }
    if let Some(home) = row.header.home {
        elements = of_elements(view, &mut hasher, space, row.header.kind, home)?;
    }
    let mut both = [0; 32];
    both[..16].copy_from_slice(&row.digest()?.to_le_bytes());
    both[16..].copy_from_slice(&elements.sum.to_le_bytes());
    Ok(Some(Digest(xxh3_128(&both))))
}

/// A row taken apart.
struct Row<'r> {
    header: Header,
    body: &'r [u8],
}

impl<'r> Row<'r> {
    fn parse(row: &'r [u8]) -> Result<Self, StoreError> {
        let (header, body) = Header::read(row)
            .ok_or_else(|| StoreError::Corrupt("a row in the column family meta cannot be read".into()))?;
        Ok(Row {
            header,
            body: &row[body..],
        })
    }

    /// The digest of the elements of a packed collection, which is that of a spread one.
    fn packed_elements(&self, hasher: &mut Hasher) -> Result<u128, StoreError> {
        let mut elements = Elements::default();
        for_each_element(self.header.kind, self.body, |element, value| {
            elements.add(hasher, self.header.kind, element, value);
        })?;
        Ok(elements.sum)
    }

    fn digest(&self) -> Result<u128, StoreError> {
        let content = match self.header.kind {
            Kind::String => xxh3_128(self.body),
            _ if self.header.packed => u128::from(packed::count(self.body)?),
            kind => {
                let cut_short = || StoreError::Corrupt("a collection's row is cut short".into());
                u128::from(Spread::read(kind, self.body).ok_or_else(cut_short)?.size)
            }
        };
        let mut bytes = [0; 25];
        bytes[0] = self.header.kind as u8;
        bytes[1..9].copy_from_slice(&self.header.expire_at.unwrap_or(0).to_le_bytes());
        bytes[9..].copy_from_slice(&content.to_le_bytes());
        Ok(xxh3_128(&bytes))
    }
}

/// What a hash is of.
const ROW: u8 = 0;
const ELEMENTS: u8 = 1;

/// Puts together what is hashed at one go.
#[derive(Default)]
struct Hasher {
    scratch: Vec<u8>,
}

impl Hasher {
    fn key(&mut self, what: u8, db: u16, key: &[u8], digest: u128) -> Digest {
        self.scratch.clear();
        self.scratch.push(what);
        self.scratch.extend_from_slice(&db.to_le_bytes());
        self.scratch.extend_from_slice(&(key.len() as u64).to_le_bytes());
        self.scratch.extend_from_slice(key);
        self.scratch.extend_from_slice(&digest.to_le_bytes());
        Digest(xxh3_128(&self.scratch))
    }

    fn element(&mut self, element: &[u8], value: &[u8]) -> u128 {
        self.scratch.clear();
        self.scratch.extend_from_slice(&(element.len() as u64).to_le_bytes());
        self.scratch.extend_from_slice(element);
        self.scratch.extend_from_slice(value);
        xxh3_128(&self.scratch)
    }
}

/// The digest of elements, given in their order.
#[derive(Clone, Copy, Debug, Default)]
struct Elements {
    sum: u128,
    count: u64,
}

impl Elements {
    fn add(&mut self, hasher: &mut Hasher, kind: Kind, element: &[u8], value: &[u8]) {
        let hash = match kind {
            Kind::List => hasher.element(&self.count.to_le_bytes(), value),
            _ => hasher.element(element, value),
        };
        self.sum = self.sum.wrapping_add(hash);
        self.count += 1;
    }
}

/// The digest of a collection's elements.
fn of_elements(
    view: &mut View<'_>,
    hasher: &mut Hasher,
    space: SpaceId,
    kind: Kind,
    home: Home,
) -> Result<Elements, StoreError> {
    let mut elements = Elements::default();
    let (first, end, before) = (home.first(), home.end(), Home::bytes_before_name(kind));
    let mut scan = view.scan(space, Cf::Data, &first, Some(&end), Direction::Forward)?;
    while let Some((data_key, value)) = scan.next()? {
        elements.add(hasher, kind, data_key.get(before..).unwrap_or_default(), value);
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn whole(bench: &mut Bench) -> Digest {
        bench.write(|cx| everything(&mut cx.view).unwrap())
    }

    #[test]
    fn order_and_versions_make_no_difference() {
        let mut a = Bench::new();
        let mut b = Bench::new();
        assert_eq!(whole(&mut a).to_string(), "0".repeat(40));
        b.apply = false;
        // More collections than are read at a time.
        let n = 2 * COLLECTIONS_MAX + 1;
        for i in 0..n {
            a.collection(&format!("c{i}"), Kind::Set, 2);
        }
        a.string("s", "1");
        b.string("s", "2");
        b.string("s", "1");
        for i in (0..n).rev() {
            b.collection(&format!("c{i}"), Kind::Set, 1);
            b.collection(&format!("c{i}"), Kind::Set, 2);
        }
        assert_eq!(whole(&mut a), whole(&mut b));
        b.flush();
        assert_eq!(whole(&mut a), whole(&mut b));
    }

    #[test]
    fn every_difference_of_content_makes_one() {
        let mut bench = Bench::new();
        let mut seen = vec![whole(&mut bench)];
        let changes: [fn(&mut Bench); 10] = [
            |b| b.string("k", ""),
            |b| b.string("k", "1"),
            |b| drop(b.run("pexpire k 1000")),
            |b| drop(b.run("pexpire k 1001")),
            |b| b.collection("k", Kind::Set, 1),
            |b| b.collection("k", Kind::Set, 2),
            |b| b.collection("k", Kind::Hash, 2),
            |b| b.collection("k", Kind::List, 2),
            |b| b.collection("l", Kind::List, 2),
            |b| b.db = 1,
        ];
        for change in changes {
            change(&mut bench);
            if bench.db == 1 {
                bench.collection("m", Kind::List, 2);
            }
            let digest = whole(&mut bench);
            assert!(!seen.contains(&digest));
            seen.push(digest);
        }
        assert_eq!(bench.run("swapdb 0 1"), "+OK|");
        assert!(!seen.contains(&whole(&mut bench)));
        assert_eq!(bench.run("swapdb 0 1"), "+OK|");
        assert!(seen.contains(&whole(&mut bench)));
    }

    #[test]
    fn a_list_is_its_elements_wherever_it_begins() {
        let mut bench = Bench::new();
        bench.collection("a", Kind::List, 3);
        bench.write(|cx| {
            let mut list = cx.new_collection(b"b", Kind::List, None);
            list.head -= 100;
            for i in 0..3 {
                let element = (list.head + i).to_be_bytes();
                cx.put_element(&mut list, &element, format!("value {i}").as_bytes())
                    .unwrap();
            }
            list.size = 3;
            cx.put_collection(b"b", &mut list).unwrap();
            assert_eq!(value(&mut cx.view, 0, b"nothing").unwrap(), None);
        });
        assert_eq!(bench.digest_value("a"), bench.digest_value("b"));
    }
}
