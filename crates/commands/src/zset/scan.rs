//! ZSCAN.

use haypile_resp::{Request, format_double};
use haypile_store::Direction;

use super::bounds::Select;
use super::layout::{MEMBER, find, parse_member, parse_score};
use super::walk::{Window, for_each};
use crate::scan_options::{ScanOptions, ScanReply, parse_cursor, reply_empty};
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const ZSCAN: Spec = Spec {
    name: "zscan",
    summary: "Goes through a sorted set, some members with their scores at a time.",
    since: "2.8.0",
    group: Group::SortedSet,
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to \
         return back to 0. N is the number of elements inside the collection.",
    arity: -3,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    handler: Handler::Data(zscan),
    ..SPEC
};

/// Up to this many members are returned at once, whatever the cursor: Redis keeps so small a set in one piece.
const WHOLE_MEMBERS: u64 = 128;
fn zscan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = parse_cursor(&request[2])?;
    let Some(zset) = find(cx, &request[1])? else {
        reply_empty(cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(request, 3)?;
    let mut reply = ScanReply::new(cx.reply);
    let next = if zset.size <= WHOLE_MEMBERS || zset.is_packed() {
        whole(cx, &zset, &options, &mut reply)?;
        0
    } else {
        match u16::try_from(cursor) {
            Ok(place) => page(cx, &zset, place, &options, &mut reply)?,
            // Beyond all places there is nothing.
            Err(_) => 0,
        }
    };
    reply.finish(cx.reply, u64::from(next));
    Ok(())
}

/// All members that match, in the order of their scores.
fn whole(cx: &mut Cx<'_>, zset: &Collection, options: &ScanOptions<'_>, reply: &mut ScanReply) -> Outcome {
    for_each(cx, zset, &Select::Rank(0, -1), Window::ALL, |_, score, member| {
        if options.admits(member) {
            push(reply, member, score);
        }
    })?;
    Ok(())
}

/// The members from a spread number on that match, of at least COUNT that are looked at; gives the spread number to go
/// on with, 0 at the end. Members of one number are never torn apart, so that the number is all a cursor needs.
fn page(
    cx: &mut Cx<'_>,
    zset: &Collection,
    place: u16,
    options: &ScanOptions<'_>,
    reply: &mut ScanReply,
) -> Result<u16, CommandError> {
    let lower = [&[MEMBER], &place.to_be_bytes()[..]].concat();
    let mut scan = cx.scan(zset, &lower, Some(&[MEMBER + 1]), Direction::Forward)?;
    let (mut seen, mut last) = (0, place);
    while let Some((data_key, value)) = scan.next()? {
        let (place, member) = parse_member(data_key)?;
        if seen >= options.count && place != last {
            return Ok(place);
        }
        seen += 1;
        last = place;
        if options.admits(member) {
            push(reply, member, parse_score(value)?);
        }
    }
    Ok(0)
}

fn push(reply: &mut ScanReply, member: &[u8], score: f64) {
    reply.push(member);
    reply.push(format_double(score).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn a_small_set_is_returned_at_once() {
        let mut bench = Bench::new();
        bench.run("zadd z 1 a 2.5 b 3 ab");
        assert_eq!(
            bench.run("zscan z 0 count 1"),
            "*2|$1|0|*6|$1|a|$1|1|$1|b|$3|2.5|$2|ab|$1|3|"
        );
        assert_eq!(bench.run("zscan z -1 match a"), "*2|$1|0|*2|$1|a|$1|1|");
        bench.version = Version::Resp3;
        assert_eq!(bench.run("zscan z 0 match b*"), "*2|$1|0|*2|$1|b|$3|2.5|");
        assert_eq!(bench.run("zscan nothing 0"), "*2|$1|0|*0|");
        for (line, text) in [
            ("zscan z x", "ERR invalid cursor"),
            ("zscan z --1", "ERR invalid cursor"),
            ("zscan z 99999999999999999999", "ERR invalid cursor"),
            ("zscan z 0 count 0", "ERR syntax error"),
            ("zscan z 0 count x", "ERR value is not an integer or out of range"),
            ("zscan z 0 match", "ERR syntax error"),
            ("zscan z 0 type zset", "ERR syntax error"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }

    #[test]
    fn a_cursor_goes_through_all_members() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            let pairs: Vec<String> = (0..3000).map(|i| format!("{i} m{i}")).collect();
            bench.run(&format!("zadd z {}", pairs.join(" ")));
            let (mut cursor, mut seen, mut calls) = ("0".to_owned(), HashSet::new(), 0);
            loop {
                let reply = bench.run(&format!("zscan z {cursor} count 100"));
                let parts: Vec<&str> = reply.split('|').collect();
                cursor = parts[2].to_owned();
                let found: Vec<&str> = parts[4..].iter().skip(1).step_by(2).copied().collect();
                assert!(found.len() >= 200 || cursor == "0");
                found.chunks(2).filter(|pair| pair.len() == 2).for_each(|pair| {
                    assert_eq!(pair[0], format!("m{}", pair[1]));
                    assert!(seen.insert(pair[0].to_owned()), "{} twice", pair[0]);
                });
                calls += 1;
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(seen.len(), 3000);
            assert!(calls > 20, "{calls}");
            assert_eq!(bench.run("zscan z 65536"), "*2|$1|0|*0|");
        }
    }
}
