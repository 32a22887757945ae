//! Removes keys whose time is over and that nobody asks for: they are found and read beside the turns, and removed in one.

use haypile_store::keys::{parse_expiry_key, user_key};
use haypile_store::row::Header;
use haypile_store::{Cf, Direction, SpaceId, StoreError, View};

use crate::{CommandError, Cx};

/// What [`find_due`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Entries of the expiry index whose time is over, the earliest first.
    pub entries: Vec<Vec<u8>>,
    /// The entry that comes after them, due or not.
    pub next: Option<Vec<u8>>,
}

/// Looks for up to `max_keys` keys of a keyspace whose time is over at `now`, in milliseconds since the epoch. `from` is a key of
/// the expiry index, or empty: what comes before it is not looked at.
///
/// The index is a queue: before its first entry lies what has been removed, and a scan from the very start crosses all
/// of it that compaction has not dropped yet.
pub fn find_due(
    view: &mut View<'_>,
    space: SpaceId,
    from: &[u8],
    now: u64,
    max_keys: usize,
) -> Result<Due, CommandError> {
    let mut due = Due::default();
    let mut index = view.scan(space, Cf::Expiry, from, None, Direction::Forward)?;
    while let Some((entry, _)) = index.next()? {
        let (at, _) = parse(entry)?;
        if at > now || due.entries.len() == max_keys {
            due.next = Some(entry.to_vec());
            break;
        }
        due.entries.push(entry.to_vec());
    }
    Ok(due)
}

/// Reads the rows of such keys, so that [`remove_due`] finds them in memory.
pub fn fetch_due(view: &View<'_>, space: SpaceId, entries: &[Vec<u8>]) -> Result<(), CommandError> {
    for entry in entries {
        let (_, meta) = parse(entry)?;
        view.get(space, Cf::Meta, meta)?;
    }
    Ok(())
}

/// Removes keys of the selected database that [`find_due`] has found in the keyspace `space`, as far as they are still what they
/// were then. Gives the first entry of those whose rows the view does not reach, and which are left as they are. The view is one
/// for writing.
pub fn remove_due(cx: &mut Cx<'_>, space: SpaceId, entries: &[Vec<u8>]) -> Result<Option<Vec<u8>>, CommandError> {
    let mut left = None;
    if cx.view.space(cx.db()) != space {
        // SWAPDB or FLUSHDB came between.
        return Ok(entries.first().cloned());
    }
    for entry in entries {
        match remove_one(cx, space, entry) {
            Err(CommandError::Store(StoreError::Cold)) => left = left.or_else(|| Some(entry.clone())),
            outcome => outcome?,
        }
    }
    Ok(left)
}

fn remove_one(cx: &mut Cx<'_>, space: SpaceId, entry: &[u8]) -> Result<(), CommandError> {
    let (at, meta) = parse(entry)?;
    if at > cx.now {
        return Ok(());
    }
    let row = cx.raw_row(meta)?;
    let header: Option<Header> = row.map(|row| row.header);
    match header {
        Some(header) if header.expire_at == Some(at) => cx.expire(user_key(meta), header),
        // A client was quicker. Else, as the index and the rows change together, this does not happen; if it did, the entry
        // would come back for ever.
        _ if cx.view.get(space, Cf::Expiry, entry)?.is_some() => Ok(cx.view.delete(space, Cf::Expiry, entry)?),
        _ => Ok(()),
    }
}

fn parse(entry: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    parse_expiry_key(entry).ok_or_else(|| StoreError::Corrupt("an entry of the expiry index is cut short".into()))
}

/// Finds and removes in one view, and says when the next key expires.
#[cfg(test)]
pub(super) fn expire_due(cx: &mut Cx<'_>, max_keys: usize) -> (usize, Option<u64>) {
    let space = cx.view.space(cx.db());
    let due = find_due(&mut cx.view, space, &[], cx.now, max_keys).unwrap();
    fetch_due(&cx.view, space, &due.entries).unwrap();
    assert_eq!(remove_due(cx, space, &due.entries).unwrap(), None);
    let next = due.next.map(|next| parse(&next).unwrap().0);
    (due.entries.len(), next)
}

#[cfg(test)]
mod tests {
    use haypile_store::keys::{expiry_key, meta_key};
    use haypile_store::row::Kind;

    use super::*;
    use crate::testing::Bench;

    #[test]
    fn removes_what_is_due_and_says_what_is_left() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.write(|cx| expire_due(cx, 10)), (0, None));
            for i in 1..=5 {
                bench.string(&format!("k{i}"), "1");
                bench.run(&format!("pexpire k{i} {}", i * 10));
            }
            bench.collection("list", Kind::List, 3);
            bench.run("pexpire list 25");
            bench.string("stays", "1");
            let start = bench.now;
            bench.now += 30;

            assert_eq!(bench.write(|cx| expire_due(cx, 2)), (2, Some(start + 25)));
            assert_eq!(bench.heard, ["expired k1", "expired k2"]);
            assert_eq!(bench.counts(), (5, 4));

            assert_eq!(bench.write(|cx| expire_due(cx, 10)), (2, Some(start + 40)));
            assert_eq!(bench.heard, ["expired list", "expired k3"]);
            assert_eq!(bench.list("keys *"), ["k4", "k5", "stays"]);
            assert_eq!(bench.counts(), (3, 2));

            bench.run("pexpire stays 1");
            bench.now += 1;
            assert_eq!(bench.write(|cx| expire_due(cx, 10)).0, 1);
            bench.now += 100;
            assert_eq!(bench.write(|cx| expire_due(cx, 0)), (0, Some(start + 40)));
            assert_eq!(bench.write(|cx| expire_due(cx, 2)), (2, None));
            assert_eq!(bench.counts(), (0, 0));
        }
    }

    #[test]
    fn what_has_changed_since_it_was_found_stays() {
        let mut bench = Bench::new();
        for key in ["persists", "later", "again", "gone", "goes", "other"] {
            bench.string(key, "1");
            bench.run(&format!("pexpire {key} 10"));
        }
        bench.now += 10;
        let now = bench.now;
        let due = bench.write(|cx| {
            let space = cx.view.space(0);
            find_due(&mut cx.view, space, &[], now, 10).unwrap()
        });
        assert_eq!((due.entries.len(), due.next.clone()), (6, None));
        bench.now -= 10;
        bench.run("persist persists");
        bench.run("pexpire later 11");
        bench.run("set again 2");
        bench.run("del gone");
        bench.now += 10;
        let other = bench.write(|cx| remove_due(cx, cx.view.space(1), &due.entries).unwrap());
        assert_eq!(other, due.entries.first().cloned());
        assert_eq!(bench.heard, Vec::<String>::new());
        let left = bench.write(|cx| remove_due(cx, cx.view.space(0), &due.entries).unwrap());
        assert_eq!(left, None);
        let mut heard = bench.heard.clone();
        heard.sort();
        assert_eq!(heard, ["expired goes", "expired other"]);
        let mut keys = bench.list("keys *");
        keys.sort();
        assert_eq!(keys, ["again", "later", "persists"]);
        assert_eq!(bench.counts(), (3, 1));
    }

    #[test]
    fn an_entry_without_its_key_is_dropped() {
        let mut bench = Bench::new();
        bench.string("k", "1");
        bench.run("pexpireat k 1000100");
        bench.write(|cx| {
            let space = cx.view.space(0);
            for (at, key) in [(1_000_050, "k"), (1_000_060, "nothing")] {
                let entry = expiry_key(at, &meta_key(key.as_bytes()));
                cx.view.put(space, Cf::Expiry, &entry, &[]).unwrap();
            }
        });
        bench.now += 70;
        assert_eq!(bench.write(|cx| expire_due(cx, 10)), (2, Some(1_000_100)));
        assert_eq!(bench.heard, Vec::<String>::new());
        assert_eq!(bench.run("exists k"), ":1|");
        assert_eq!(bench.counts(), (1, 1));
        assert_eq!(bench.write(|cx| expire_due(cx, 0)), (0, Some(1_000_100)));
    }
}
