//! Lists. An element stands under its index, so both ends and any position are one lookup away.
//!
//! ```text
//! row      header | size u64 BE | head u64 BE: the index of the first element
//! element  index u64 BE  ->  the element's bytes
//! ```
//!
//! The elements of a list of `size` have the indexes `head..head + size`, without gaps. A new list begins in the middle
//! of the numbers ([`crate::LIST_MIDDLE`]): LPUSH lowers `head`, RPUSH writes at its end. What is removed from within
//! a list lets the elements on one side move up.
//!
//! An end is read by its index and never looked for with an iterator, which would have to cross the tombstones that a
//! queue leaves behind. A range is read by one scan whose bounds are exactly its first and last element.

mod blocking;
mod edit;
mod element;
mod index;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod model;
mod pop;
mod push;
mod range;
mod search;
mod shift;
mod transfer;

use haypile_store::{StoreError, Value};

use crate::error::SYNTAX;
use crate::{Collection, CommandError, Cx, KeyEvent, Outcome, Spec, args};

/// The index that an element is; `None` if it is none.
pub(crate) fn index_in(element: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(element.try_into().ok()?))
}

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    push::LPUSH,
    push::RPUSH,
    push::LPUSHX,
    push::RPUSHX,
    pop::LPOP,
    pop::RPOP,
    pop::LMPOP,
    index::LLEN,
    index::LINDEX,
    index::LSET,
    range::LRANGE,
    range::LTRIM,
    edit::LREM,
    edit::LINSERT,
    search::LPOS,
    transfer::LMOVE,
    transfer::RPOPLPUSH,
    blocking::BLPOP,
    blocking::BRPOP,
    blocking::BLMOVE,
    blocking::BRPOPLPUSH,
    blocking::BLMPOP,
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    /// `LEFT` or `RIGHT`.
    fn parse(arg: &[u8]) -> Result<End, CommandError> {
        if args::is(arg, "LEFT") {
            Ok(End::Left)
        } else if args::is(arg, "RIGHT") {
            Ok(End::Right)
        } else {
            Err(SYNTAX)
        }
    }

    /// The event of a push at this end.
    fn push_event(self) -> KeyEvent {
        match self {
            End::Left => KeyEvent::LPush,
            End::Right => KeyEvent::RPush,
        }
    }

    /// The event of a pop at this end.
    fn pop_event(self) -> KeyEvent {
        match self {
            End::Left => KeyEvent::LPop,
            End::Right => KeyEvent::RPop,
        }
    }
}

/// An index beyond 0..u64::MAX would be needed: 2^63 pushes at one end.
const FULL: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "ERR the list cannot grow further at this end",
));

/// Elements up to this size stay behind, as orphans that compaction collects, when the last element of a list is
/// taken: a tombstone would be no smaller. A larger one is deleted, so that what passes through a queue need not reach
/// the disk.
const ORPHAN_BYTES_MAX: usize = 256;

/// Who pops goes on popping, as a rule: with each of so many elements the processor fetches the rows of those that come next.
const FETCHED_AHEAD: u64 = 8;

/// The index after the last element's.
fn tail(list: &Collection) -> Result<u64, CommandError> {
    Ok(list.head.checked_add(list.size).ok_or_else(damaged)?)
}

/// Row and elements contradict each other.
fn damaged() -> StoreError {
    StoreError::Corrupt("a list has other elements than its row says".into())
}

/// Adds elements at an end, one after the other. The row is for the caller to store.
fn push<'v>(cx: &mut Cx<'_>, list: &mut Collection, end: End, values: impl IntoIterator<Item = &'v [u8]>) -> Outcome {
    for value in values {
        let index = match end {
            End::Left => {
                list.head = list.head.checked_sub(1).ok_or(FULL)?;
                list.head
            }
            End::Right => tail(list)?,
        };
        list.size += 1;
        list.head.checked_add(list.size).ok_or(FULL)?;
        cx.put_element(list, &index.to_be_bytes(), value)?;
    }
    Ok(())
}

/// Takes the element at an end. The row is for the caller to store.
fn pop<'a>(cx: &mut Cx<'a>, list: &mut Collection, end: End) -> Result<Value<'a>, CommandError> {
    let left = list.size.checked_sub(1).ok_or_else(damaged)?;
    let index = match end {
        End::Left => list.head,
        End::Right => tail(list)? - 1,
    };
    if index.is_multiple_of(FETCHED_AHEAD) {
        let next = match end {
            End::Left => index..index.saturating_add(FETCHED_AHEAD),
            End::Right => (index + 1).saturating_sub(FETCHED_AHEAD)..index + 1,
        };
        cx.fetch_ahead(list, next);
    }
    let value = cx.element(list, &index.to_be_bytes())?.ok_or_else(damaged)?;
    if left > 0 || value.len() > ORPHAN_BYTES_MAX {
        cx.delete_element(list, &index.to_be_bytes())?;
    }
    if end == End::Left {
        list.head = index.checked_add(1).ok_or_else(damaged)?;
    }
    list.size = left;
    Ok(value)
}

/// Stores a list from which elements were taken, and tells of it.
fn store_taken(cx: &mut Cx<'_>, key: &[u8], list: &mut Collection, event: KeyEvent) -> Outcome {
    let empty = list.size == 0;
    cx.put_collection(key, list)?;
    cx.modified(event, key);
    if empty {
        cx.event(KeyEvent::Del, key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_store::keys::meta_key;
    use haypile_store::packed::write_list;
    use haypile_types::slot_of;

    use crate::testing::Bench;

    #[test]
    fn lists_are_stored_as_documented() {
        let mut bench = Bench::new();
        bench.run("rpush k b c");
        bench.run("lpush k a");
        let head = 0x7fff_ffff_ffff_ffff_u64;
        let elements = [&b"a"[..], b"b", b"c"];
        bench.write(|cx| {
            let row = cx.raw_row(&meta_key(b"k")).unwrap().unwrap();
            let mut body = Vec::new();
            write_list(&mut body, head, 3, elements);
            assert_eq!(row.body(), body);
        });
        bench.write(|cx| {
            cx.packed_limits.list_size = 1;
            let mut list = cx.collection(b"k", haypile_store::row::Kind::List).unwrap().unwrap();
            list.write_anyway();
            cx.put_collection(b"k", &mut list).unwrap();
            let row = cx.raw_row(&meta_key(b"k")).unwrap().unwrap();
            assert_eq!(row.header.home.unwrap().slot, slot_of(b"k"));
            assert_eq!(row.body(), [3u64.to_be_bytes(), head.to_be_bytes()].concat());
            let list = cx.collection(b"k", haypile_store::row::Kind::List).unwrap().unwrap();
            for (index, element) in (head..).zip(elements) {
                assert_eq!(&cx.element(&list, &index.to_be_bytes()).unwrap().unwrap()[..], element);
            }
        });
    }
}
