//! Removes keys whose time is over and that nobody asks for.

use haypile_store::keys::{parse_expiry_key, user_key};
use haypile_store::{Cf, Direction, StoreError};

use crate::{CommandError, Cx};

/// What [`expire_due`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Keys that were removed.
    pub expired: usize,
    /// There are more keys whose time is over.
    pub more: bool,
    /// When the next key expires, milliseconds since the epoch; in the past if there are more. `None`: no key does.
    pub next_at: Option<u64>,
    /// The expiry index has nothing before this time: where [`expire_due_from`] may start as long as time does not go
    /// back.
    pub clear_until: u64,
}

/// Removes up to `max_keys` keys of the selected database whose time is over, those first whose time was over first.
/// The view is one for writing.
pub fn expire_due(cx: &mut Cx<'_>, max_keys: usize) -> Result<ExpireReport, CommandError> {
    expire_due_from(cx, 0, max_keys)
}

/// The same without looking at keys that expire before `from`.
///
/// The index is a queue: behind what it has lies what has been removed, and a scan from the very start crosses all of it
/// that compaction has not dropped yet. Keys that are given an expiry now expire later than now, so a caller may start
/// at the [`ExpireReport::clear_until`] of the last time, from 0 again now and then in case the clock was set back.
pub fn expire_due_from(cx: &mut Cx<'_>, from: u64, max_keys: usize) -> Result<ExpireReport, CommandError> {
    let space = cx.view.space(cx.db());
    let mut report = ExpireReport {
        clear_until: cx.now.saturating_add(1).max(from),
        ..ExpireReport::default()
    };
    let mut due = Vec::new();
    let mut index = cx
        .view
        .scan(space, Cf::Expiry, &from.to_be_bytes(), None, Direction::Forward)?;
    while let Some((entry, _)) = index.next()? {
        let (at, _) = parse(entry)?;
        if at > cx.now || due.len() == max_keys {
            report.more = at <= cx.now;
            report.next_at = Some(at);
            report.clear_until = report.clear_until.min(at);
            break;
        }
        due.push(entry.to_vec());
    }
    drop(index);
    for entry in due {
        let (at, meta) = parse(&entry)?;
        match cx.raw_row(meta)? {
            Some(row) if row.header.expire_at == Some(at) => {
                cx.expire(user_key(meta), row.header)?;
                report.expired += 1;
            }
            // The index and the rows change together, so this does not happen; if it did, the entry would come back
            // for ever.
            _ => cx.view.delete(space, Cf::Expiry, &entry)?,
        }
    }
    Ok(report)
}

fn parse(entry: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    parse_expiry_key(entry).ok_or_else(|| StoreError::Corrupt("an entry of the expiry index is cut short".into()))
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
            let nothing = bench.write(|cx| expire_due(cx, 10)).unwrap();
            assert_eq!((nothing.expired, nothing.more, nothing.next_at), (0, false, None));
            for i in 1..=5 {
                bench.string(&format!("k{i}"), "1");
                bench.run(&format!("pexpire k{i} {}", i * 10));
            }
            bench.collection("list", Kind::List, 3);
            bench.run("pexpire list 25");
            bench.string("stays", "1");
            let start = bench.now;
            bench.now += 30;

            let first = bench.write(|cx| expire_due(cx, 2)).unwrap();
            let expected = ExpireReport {
                expired: 2,
                more: true,
                next_at: Some(start + 25),
                clear_until: start + 25,
            };
            assert_eq!(first, expected);
            assert_eq!(bench.heard, ["expired k1", "expired k2"]);
            assert_eq!(bench.counts(), (5, 4));

            let second = bench.write(|cx| expire_due_from(cx, first.clear_until, 10)).unwrap();
            let expected = ExpireReport {
                expired: 2,
                more: false,
                next_at: Some(start + 40),
                clear_until: start + 31,
            };
            assert_eq!(second, expected);
            assert_eq!(bench.heard, ["expired list", "expired k3"]);
            assert_eq!(bench.list("keys *"), ["k4", "k5", "stays"]);
            assert_eq!(bench.counts(), (3, 2));

            // A key that is set now is found by starting there.
            bench.run("pexpire stays 1");
            bench.now += 1;
            let third = bench.write(|cx| expire_due_from(cx, second.clear_until, 10)).unwrap();
            assert_eq!(third.expired, 1);
            bench.now += 100;
            assert_eq!(bench.write(|cx| expire_due(cx, 0)).unwrap().next_at, Some(start + 40));
            let last = bench.write(|cx| expire_due(cx, 2)).unwrap();
            assert_eq!((last.expired, last.more, last.next_at), (2, false, None));
            assert_eq!(bench.counts(), (0, 0));
        }
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
        let report = bench.write(|cx| expire_due(cx, 10)).unwrap();
        assert_eq!((report.expired, report.next_at), (0, Some(1_000_100)));
        assert_eq!(bench.heard, Vec::<String>::new());
        assert_eq!(bench.run("exists k"), ":1|");
        assert_eq!(bench.counts(), (1, 1));
        let again = bench.write(|cx| expire_due(cx, 0)).unwrap();
        assert_eq!(again.next_at, Some(1_000_100));
    }
}
