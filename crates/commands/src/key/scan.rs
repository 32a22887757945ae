//! SCAN.
//!
//! The cursor is a place: slot and hash of a key's row, 30 bits that never change while the key exists. A call reads
//! whole places, from the cursor's on until it has seen COUNT rows, and its answer's cursor is the next place that has a
//! row. So the cursor needs no memory on the server, survives restarts, and a key that exists throughout an iteration is
//! returned exactly once. The first place is 0 and so is the start; 0 in an answer says that there is nothing more.

use haypile_resp::Request;
use haypile_store::keys::{place, user_key};
use haypile_store::row::Header;
use haypile_store::{Cf, Direction};

use super::pattern::Pattern;
use super::{header, is_live};
use crate::args::is;
use crate::error::SYNTAX;
use crate::scan_options::{self, ScanReply, parse_cursor};
use crate::spec::READ;
use crate::{CommandError, Cx, Group, Handler, Outcome, SPEC, Spec};

pub(super) const SCAN: Spec = Spec {
    name: "scan",
    summary: "Iterates over the keys of the database.",
    since: "2.8.0",
    group: Group::Generic,
    complexity: "O(1) for each call with the same COUNT, O(N) for all keys; only those with the same hash tag are read \
                 if MATCH starts with one",
    arity: -2,
    flags: READ,
    syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
    handler: Handler::Data(scan),
    ..SPEC
};

struct Options<'r> {
    pattern: Pattern<'r>,
    /// How many rows to read at least.
    count: u64,
    type_name: Option<&'r [u8]>,
}

impl<'r> Options<'r> {
    fn parse(request: &'r Request) -> Result<Self, CommandError> {
        let mut options = Options {
            pattern: Pattern::ALL,
            count: scan_options::COUNT_DEFAULT,
            type_name: None,
        };
        let mut at = 2;
        while let Some(name) = request.get(at) {
            let value = request.get(at + 1).ok_or(SYNTAX)?;
            match name {
                o if is(o, "COUNT") => {
                    options.count = scan_options::count(value)?;
                }
                o if is(o, "MATCH") => options.pattern = Pattern::new(value),
                o if is(o, "TYPE") => options.type_name = Some(value),
                _ => return Err(SYNTAX),
            }
            at += 2;
        }
        Ok(options)
    }

    fn wants(&self, key: &[u8], header: Header, now: u64) -> bool {
        self.pattern.matches(key)
            && self
                .type_name
                .is_none_or(|name| name.eq_ignore_ascii_case(header.kind.name().as_bytes()))
            && is_live(header, now)
    }
}

fn scan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = parse_cursor(&request[1])?;
    let options = Options::parse(request)?;
    let (mut lower, upper) = options.pattern.bounds();
    let space = cx.view.space(cx.db());
    let mut reply = ScanReply::new(cx.reply);
    let mut next = 0;
    // Beyond all places there is nothing.
    if let Ok(cursor) = u32::try_from(cursor) {
        let start = cursor.to_be_bytes();
        if lower[..] < start[..] {
            lower = start.to_vec();
        }
        let mut rows = cx
            .view
            .scan(space, Cf::Meta, &lower, upper.as_deref(), Direction::Forward)?;
        let (mut seen, mut last) = (0, None);
        while let Some((meta, row)) = rows.next()? {
            let place = place(meta);
            if seen >= options.count && last != Some(place) {
                next = place;
                break;
            }
            (seen, last) = (seen + 1, Some(place));
            let key = user_key(meta);
            if options.wants(key, header(row)?, cx.now) {
                reply.push(key);
            }
        }
    }
    reply.finish(cx.reply, u64::from(next));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use haypile_store::row::Kind;

    use crate::testing::Bench;

    /// Scans to the end: the keys in the order of their coming, and the number of calls.
    fn scan_all(bench: &mut Bench, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut keys, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let reply = bench.run(format!("scan {cursor} {options}").trim_end());
            let parts: Vec<&str> = reply.split('|').collect();
            assert_eq!(parts[0], "*2", "{reply}");
            cursor = parts[2].to_owned();
            keys.extend(
                parts[5..]
                    .iter()
                    .step_by(2)
                    .map(|&key| key.to_owned())
                    .filter(|k| !k.is_empty()),
            );
            calls += 1;
            if cursor == "0" {
                return (keys, calls);
            }
        }
    }

    #[test]
    fn every_key_comes_exactly_once() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("scan 0"), "*2|$1|0|*0|");
            let all: HashSet<String> = (0..300).map(|i| format!("key:{i}")).collect();
            all.iter().for_each(|key| bench.string(key, "1"));
            for (options, calls) in [
                ("", 30),
                ("count 1000", 1),
                ("count 299", 2),
                ("count 300", 1),
                ("count 7", 43),
            ] {
                let (keys, made) = scan_all(&mut bench, options);
                assert_eq!(keys.len(), 300, "{options}");
                assert_eq!(keys.into_iter().collect::<HashSet<_>>(), all);
                assert_eq!(made, calls, "{options}");
            }
        }
    }

    #[test]
    fn keys_of_one_slot_are_told_apart_and_found_by_their_tag() {
        let mut bench = Bench::new();
        for i in 0..200 {
            bench.string(&format!("{{tag}}{i}"), "1");
            bench.string(&format!("other{i}"), "1");
        }
        let (keys, calls) = scan_all(&mut bench, "match {tag}* count 10");
        assert_eq!(keys.len(), 200);
        assert!(calls <= 21, "{calls} calls read more than one slot");
        assert_eq!(
            scan_all(&mut bench, "match {tag}7 count 10"),
            (vec!["{tag}7".to_owned()], 1)
        );
        assert_eq!(scan_all(&mut bench, "match {tag}x count 10"), (vec![], 1));
        assert_eq!(scan_all(&mut bench, "match other?").0.len(), 10);
        // A cursor that a scan without this pattern has given.
        assert_eq!(bench.run("scan 1073741823 match {tag}7"), "*2|$1|0|*0|");
    }

    #[test]
    fn filters_by_type_and_leaves_out_what_has_expired() {
        let mut bench = Bench::new();
        bench.string("s", "1");
        bench.collection("l", Kind::List, 1);
        bench.collection("z", Kind::Zset, 1);
        bench.string("gone", "1");
        bench.run("pexpire gone 1");
        bench.now += 1;
        assert_eq!(scan_all(&mut bench, "type string").0, ["s"]);
        assert_eq!(scan_all(&mut bench, "type ZSET").0, ["z"]);
        assert_eq!(scan_all(&mut bench, "type nonsense").0, Vec::<String>::new());
        assert_eq!(scan_all(&mut bench, "type list match z*").0, Vec::<String>::new());
        assert_eq!(scan_all(&mut bench, "").0.len(), 3);
    }

    #[test]
    fn arguments_are_checked() {
        let mut bench = Bench::new();
        bench.string("k", "1");
        for (line, reply) in [
            ("scan x", "-ERR invalid cursor|"),
            ("scan 1x count", "-ERR invalid cursor|"),
            ("scan 18446744073709551616", "-ERR invalid cursor|"),
            ("scan 0 count", "-ERR syntax error|"),
            ("scan 0 count 0", "-ERR syntax error|"),
            ("scan 0 count -5", "-ERR syntax error|"),
            ("scan 0 count x", "-ERR value is not an integer or out of range|"),
            ("scan 0 nonsense 1", "-ERR syntax error|"),
            ("scan 18446744073709551615", "*2|$1|0|*0|"),
            ("scan 4294967295", "*2|$1|0|*0|"),
            ("scan 0 count 9223372036854775807 match *", "*2|$1|0|*1|$1|k|"),
        ] {
            assert_eq!(bench.run(line), reply, "{line}");
        }
    }
}
