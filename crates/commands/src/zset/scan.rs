use haypile_resp::{Request, format_double};
use haypile_store::Direction;

use super::bounds::Select;
use super::layout::{MEMBER, Scored, find, parse_member, parse_score};
use super::walk::{Window, for_each};
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec, args, glob};

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
/// Members that are looked at when COUNT does not say.
const COUNT: u64 = 10;

fn zscan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = cursor(&request[2])?;
    let Some(zset) = find(cx, &request[1])? else {
        return write(cx, 0, &[]);
    };
    let (mut pattern, mut count) = (None, COUNT);
    let mut at = 3;
    while at < request.len() {
        let (option, Some(value)) = (&request[at], request.get(at + 1)) else {
            return Err(SYNTAX);
        };
        if args::is(option, "COUNT") {
            count = u64::try_from(args::integer(value)?)
                .ok()
                .filter(|&n| n > 0)
                .ok_or(SYNTAX)?;
        } else if args::is(option, "MATCH") {
            pattern = Some(value).filter(|&pattern| pattern != b"*");
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    let (next, found) = if zset.size <= WHOLE_MEMBERS {
        (0, whole(cx, &zset, pattern)?)
    } else {
        match u16::try_from(cursor) {
            Ok(place) => page(cx, &zset, place, count, pattern)?,
            Err(_) => (0, Vec::new()),
        }
    };
    write(cx, next, &found)
}

/// A cursor as C's strtoul reads it: nothing is 0, and with a minus it is far beyond all places, so that the scan ends.
fn cursor(arg: &[u8]) -> Result<u64, CommandError> {
    if arg.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(arg).unwrap_or_default();
    let number = text.strip_prefix('-').unwrap_or(text).parse().ok();
    let number = number.ok_or_else(|| CommandError::reply("ERR invalid cursor"))?;
    Ok(if text.starts_with('-') {
        u64::wrapping_neg(number)
    } else {
        number
    })
}

/// All members that match, in the order of their scores.
fn whole(cx: &mut Cx<'_>, zset: &Collection, pattern: Option<&[u8]>) -> Result<Vec<Scored>, CommandError> {
    let mut found = Vec::new();
    for_each(cx, zset, &Select::Rank(0, -1), Window::ALL, |_, score, member| {
        if pattern.is_none_or(|pattern| glob::matches(pattern, member)) {
            found.push((member.to_vec(), score));
        }
    })?;
    Ok(found)
}

/// The members from a spread number on that match, of at least `count` that are looked at, and the spread number to go
/// on with; 0 at the end. Members of one number are never torn apart, so that the number is all a cursor needs.
fn page(
    cx: &mut Cx<'_>,
    zset: &Collection,
    place: u16,
    count: u64,
    pattern: Option<&[u8]>,
) -> Result<(u16, Vec<Scored>), CommandError> {
    let lower = zset.element(&[&[MEMBER], &place.to_be_bytes()]);
    let mut scan = cx.scan(&lower, Some(&zset.element(&[&[MEMBER + 1]])), Direction::Forward)?;
    let (mut seen, mut last, mut found) = (0, place, Vec::new());
    while let Some((data_key, value)) = scan.next()? {
        let (place, member) = parse_member(zset, data_key)?;
        if seen >= count && place != last {
            return Ok((place, found));
        }
        seen += 1;
        last = place;
        if pattern.is_none_or(|pattern| glob::matches(pattern, member)) {
            found.push((member.to_vec(), parse_score(value)?));
        }
    }
    Ok((0, found))
}

fn write(cx: &mut Cx<'_>, next: u16, found: &[Scored]) -> Outcome {
    cx.reply.array(2);
    cx.reply.bulk_int(i64::from(next));
    cx.reply.array(found.len() * 2);
    for (member, score) in found {
        cx.reply.bulk(member);
        cx.reply.bulk(format_double(*score).as_bytes());
    }
    Ok(())
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
