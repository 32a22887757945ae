//! SSCAN: goes through a set some members at a time.
//!
//! Members stand in the order of their 16-bit hash. A call ends where that number changes, and the cursor is the next
//! number that there is, with a bit that is always set, so that it is never 0: that is the start and the end.
//!
//! ```text
//! cursor = 2^16 + spread
//! ```
//!
//! It is a place, so members that are there all the time come exactly once, however the set changes in between, after a
//! restart and from another replica as well. All members of the same number come in one call: a set of 10 million has
//! about 150 of each.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::row::Kind;

use super::{SPREAD, member};
use crate::scan_options::{ScanOptions, ScanReply, parse_cursor, reply_empty};
use crate::spec::READ;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const SSCAN: Spec = Spec {
    name: "sscan",
    summary: "Goes through the members of a set, some at each call.",
    since: "2.8.0",
    group: Group::Set,
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
    arity: -3,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    handler: Handler::Data(sscan),
    ..SPEC
};

/// Members up to which a set comes all at once; Redis' `set-max-listpack-entries`.
const SMALL_MAX: u64 = 128;
/// Bytes after which it does not.
const SMALL_BYTES_MAX: usize = 256 << 10;

fn sscan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = parse_cursor(&request[2])?;
    let Some(set) = cx.collection(&request[1], Kind::Set)? else {
        reply_empty(cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(request, 3)?;
    let small = set.size <= SMALL_MAX || set.is_packed();
    // What is no cursor begins at a place too; that is no worse than any other.
    let lower = (cursor as u16).to_be_bytes();
    let mut reply = ScanReply::new(cx.reply);
    let mut scan = cx.scan(&set, &lower, None, Direction::Forward)?;
    let (mut looked_at, mut group) = (0, [0; SPREAD]);
    let mut next_cursor = 0;
    while let Some((element, _)) = scan.next()? {
        let &spread = element.first_chunk().unwrap_or(&[0; SPREAD]);
        if looked_at >= options.count && spread != group && !(small && reply.bytes() < SMALL_BYTES_MAX) {
            next_cursor = 1 << 16 | u64::from(u16::from_be_bytes(spread));
            break;
        }
        (looked_at, group) = (looked_at + 1, spread);
        if options.admits(member(element)) {
            reply.push(member(element));
        }
    }
    drop(scan);
    reply.finish(cx.reply, next_cursor);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::Bench;

    fn scan(bench: &mut Bench, cursor: &str, more: &str) -> (String, Vec<String>) {
        let reply = bench.run(&format!("sscan s {cursor}{more}"));
        let parts: Vec<&str> = reply.split('|').collect();
        let members = parts[4..].iter().skip(1).step_by(2).map(|&m| m.to_owned()).collect();
        (parts[2].to_owned(), members)
    }

    fn fill(bench: &mut Bench, range: std::ops::Range<usize>) {
        let args: Vec<String> = ["sadd", "s"]
            .map(str::to_owned)
            .into_iter()
            .chain(range.map(|i| i.to_string()))
            .collect();
        bench.run_args(&args);
    }

    #[test]
    fn small_sets_come_at_once() {
        let mut bench = Bench::new();
        fill(&mut bench, 0..100);
        let (cursor, members) = scan(&mut bench, "0", " count 1");
        assert_eq!((cursor.as_str(), members.len()), ("0", 100));
        let (_, members) = scan(&mut bench, "0", " match ?");
        assert_eq!(members.len(), 10);
        assert_eq!(bench.run("sscan none 0"), "*2|$1|0|*0|");
        assert_eq!(bench.run("sscan none x"), "-ERR invalid cursor|");
        assert_eq!(bench.run("sscan s 0 count 0"), "-ERR syntax error|");
        assert_eq!(bench.run("sscan s 0 type x"), "-ERR syntax error|");
    }

    #[test]
    fn members_that_stay_come_exactly_once() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            fill(&mut bench, 0..3000);
            let (mut cursor, mut seen, mut volatile) = ("0".to_owned(), Vec::new(), 1000..3000);
            loop {
                let (next, members) = scan(&mut bench, &cursor, " count 20");
                seen.extend(members.into_iter().filter(|m| m.parse::<usize>().unwrap() < 1000));
                if next == "0" {
                    break;
                }
                assert!(next.parse::<u64>().unwrap() >= 1 << 16);
                cursor = next;
                for i in volatile.by_ref().take(10) {
                    bench.run(&format!("srem s {i}"));
                    bench.run(&format!("sadd s {}", i + 10_000));
                }
            }
            assert_eq!(seen.len(), 1000);
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 1000);
        }
    }

    #[test]
    fn any_number_is_a_cursor() {
        let mut bench = Bench::new();
        fill(&mut bench, 0..1000);
        for cursor in ["1", "65535", "65536", "131071", "18446744073709551615", "-1"] {
            let (mut cursor, mut calls) = (cursor.to_owned(), 0);
            loop {
                cursor = scan(&mut bench, &cursor, "").0;
                calls += 1;
                assert!(calls <= 1000);
                if cursor == "0" {
                    break;
                }
            }
        }
    }
}
