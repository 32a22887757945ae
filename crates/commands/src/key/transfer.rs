//! Writing a value anew under another key or in another database.

use haypile_store::Direction;
use haypile_store::row::{Header, Kind};

use crate::cx::Row;
use crate::{Collection, CommandError, Cx, KeyEvent};

/// Elements, and bytes of them, that are held in memory at a time while a collection is copied. The effects of the
/// command grow with the collection all the same.
const BATCH_ELEMENTS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A key in a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'k> {
    pub(super) db: u16,
    pub(super) key: &'k [u8],
}

/// Writes the value of `from`, whose row is `row`, to `to` as well, with its expiry. `old` is the row that it replaces
/// there. A string or a small collection takes one write, another one for each element: it gets an id of its own. The
/// database of `to` is left selected.
pub(super) fn transfer(
    cx: &mut Cx<'_>,
    from: At<'_>,
    row: &Row<'_>,
    to: At<'_>,
    old: Option<Header>,
) -> Result<(), CommandError> {
    let header = row.header;
    if old.is_some() {
        // Redis deletes the old value silently and adds a new key.
        cx.select(to.db);
        cx.event(KeyEvent::New, to.key);
    }
    if header.kind == Kind::String || header.packed {
        cx.select(to.db);
        cx.put_row(to.key, old, header, row.body())?;
        cx.ready(header.kind, to.key);
        return Ok(());
    }
    let source = Collection::read_spread(row)?;
    let mut copy = cx.new_collection(to.key, header.kind, old);
    (copy.size, copy.head, copy.expire_at) = (source.size, source.head, source.expire_at);
    copy_elements(cx, (from.db, &source), (to.db, &mut copy))?;
    cx.put_collection(to.key, &mut copy)
}

/// Copies all elements. Leaves the target's database selected.
fn copy_elements(
    cx: &mut Cx<'_>,
    (from_db, from): (u16, &Collection),
    (to_db, to): (u16, &mut Collection),
) -> Result<(), CommandError> {
    let mut lower = Vec::new();
    let mut batch = Batch::default();
    loop {
        cx.select(from_db);
        batch.read(cx, from, &mut lower)?;
        cx.select(to_db);
        for (element, value) in batch.iter() {
            cx.put_element(to, element, value)?;
        }
        if batch.is_last {
            return Ok(());
        }
    }
}

/// Some elements, one behind the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each element and its value end.
    ends: Vec<(usize, usize)>,
    is_last: bool,
}

impl Batch {
    /// Reads the next elements, and sets `lower` to where to go on.
    fn read(&mut self, cx: &mut Cx<'_>, from: &Collection, lower: &mut Vec<u8>) -> Result<(), CommandError> {
        self.bytes.clear();
        self.ends.clear();
        self.is_last = true;
        let mut scan = cx.scan(from, lower, None, Direction::Forward)?;
        let mut next = None;
        while let Some((element, value)) = scan.next()? {
            self.bytes.extend_from_slice(element);
            let element_end = self.bytes.len();
            self.bytes.extend_from_slice(value);
            self.ends.push((element_end, self.bytes.len()));
            if self.ends.len() == BATCH_ELEMENTS_MAX || self.bytes.len() >= BATCH_BYTES_MAX {
                next = Some(from.place_behind(element));
                self.is_last = false;
                break;
            }
        }
        drop(scan);
        *lower = next.unwrap_or_default();
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.ends.iter().scan(0, |start, &(element_end, value_end)| {
            let element = &self.bytes[*start..element_end];
            *start = value_end;
            Some((element, &self.bytes[element_end..value_end]))
        })
    }
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use super::*;
    use crate::testing::Bench;

    #[test]
    fn large_collections_are_copied_batch_by_batch() {
        for apply in [true, false] {
            for n in [
                0,
                1,
                BATCH_ELEMENTS_MAX - 1,
                BATCH_ELEMENTS_MAX,
                2 * BATCH_ELEMENTS_MAX + 1,
            ] {
                let mut bench = Bench::new();
                bench.apply = apply;
                // A neighbour whose elements stand right behind.
                bench.collection("{k}b", Kind::Hash, 5);
                bench.collection("{k}a", Kind::Hash, n.max(1));
                assert_eq!(bench.run("copy {k}a {k}c"), ":1|");
                assert_eq!(bench.elements("{k}c"), n.max(1));
                assert_eq!(bench.elements("{k}b"), 5);
            }
        }
    }

    #[test]
    fn wide_elements_end_a_batch_early() {
        let mut bench = Bench::new();
        bench.write(|cx| {
            let mut wide = cx.new_collection(b"k", Kind::Hash, None);
            for i in 0..5u8 {
                cx.put_element(&mut wide, &[i], &vec![i; BATCH_BYTES_MAX / 2]).unwrap();
                wide.size += 1;
            }
            cx.put_collection(b"k", &mut wide).unwrap();
        });
        assert_eq!(bench.run("copy k copy"), ":1|");
        assert_eq!(bench.elements("copy"), 5);
        assert_eq!(bench.elements("k"), 5);
    }
}
