//! ZPOPMIN, ZPOPMAX, ZMPOP and those of them that wait for a member.

use haypile_resp::{Request, Version, parse_i64};
use haypile_store::Direction;
use haypile_store::row::Kind;

use super::bounds::Span;
use super::layout::{Scored, find, remove};
use super::walk::walk;
use crate::error::SYNTAX;
use crate::spec::{REMOVE, REMOVE_FAST};
use crate::{
    Block, Collection, CommandError, Cx, Flags, Group, Handler, KeyAccess, KeyEvent, Keys, OnTimeout, Outcome, SPEC,
    Spec, args,
};

const COMPLEXITY: &str = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of \
     elements popped.";
const COMPLEXITY_OF_MANY_KEYS: &str = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number \
     of elements in the sorted set, and M being the number of elements popped.";

pub(super) const ZPOPMIN: Spec = Spec {
    name: "zpopmin",
    summary: "Removes the members with the lowest scores from a sorted set and returns them.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY,
    arity: -2,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::TAKE,
    syntax: "key [count]",
    handler: Handler::Data(|cx, request| zpop(cx, request, Direction::Forward)),
    ..SPEC
};

pub(super) const ZPOPMAX: Spec = Spec {
    name: "zpopmax",
    summary: "Removes the members with the highest scores from a sorted set and returns them.",
    access: KeyAccess::TAKE,
    handler: Handler::Data(|cx, request| zpop(cx, request, Direction::Reverse)),
    ..ZPOPMIN
};

pub(super) const ZMPOP: Spec = Spec {
    name: "zmpop",
    summary: "Removes members from the first sorted set that has any, from its end that is named, and returns them.",
    since: "7.0.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY_OF_MANY_KEYS,
    arity: -4,
    flags: REMOVE.or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 1,
        also: None,
    },
    access: KeyAccess::TAKE,
    syntax: "numkeys key [key ...] <MIN|MAX> [COUNT count]",
    handler: Handler::Data(zmpop),
    ..SPEC
};

pub(super) const BZPOPMIN: Spec = Spec {
    name: "bzpopmin",
    summary: "Removes the member with the lowest score from the first sorted set that has any and returns it, or waits for one.",
    since: "5.0.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    arity: -3,
    flags: REMOVE_FAST.or(Flags::NOSCRIPT).or(Flags::BLOCKING),
    keys: Keys::Range {
        first: 1,
        last: -2,
        step: 1,
    },
    access: KeyAccess::TAKE,
    syntax: "key [key ...] timeout",
    handler: Handler::Data(|cx, request| bzpop(cx, request, Direction::Forward)),
    ..SPEC
};

pub(super) const BZPOPMAX: Spec = Spec {
    name: "bzpopmax",
    summary: "Removes the member with the highest score from the first sorted set that has any and returns it, or waits for one.",
    access: KeyAccess::TAKE,
    handler: Handler::Data(|cx, request| bzpop(cx, request, Direction::Reverse)),
    ..BZPOPMIN
};

pub(super) const BZMPOP: Spec = Spec {
    name: "bzmpop",
    summary: "Removes members from the first sorted set that has any, from its end that is named, and returns them, or waits for some.",
    since: "7.0.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY_OF_MANY_KEYS,
    arity: -5,
    flags: REMOVE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 2,
        also: None,
    },
    access: KeyAccess::TAKE,
    syntax: "timeout numkeys key [key ...] <MIN|MAX> [COUNT count]",
    handler: Handler::Data(bzmpop),
    ..SPEC
};

/// The first `n` members from one side of a sorted set: the lowest scores, or with [`Direction::Reverse`] the highest.
///
/// Whatever has been popped before lies as tombstones between the bound and the first live element, so all that asks
/// for an end asks here.
pub(super) fn edge(cx: &mut Cx<'_>, zset: &Collection, side: Direction, n: u64) -> Result<Vec<Scored>, CommandError> {
    let mut found = Vec::new();
    walk(cx, zset, &Span::all(), side, (0, n), |_, score, member| {
        found.push((member.to_vec(), score));
        true
    })?;
    Ok(found)
}

/// Takes up to `count` members off a sorted set that has some.
fn pop(
    cx: &mut Cx<'_>,
    key: &[u8],
    zset: &mut Collection,
    side: Direction,
    count: u64,
) -> Result<Vec<Scored>, CommandError> {
    let popped = edge(cx, zset, side, count)?;
    let event = match side {
        Direction::Forward => KeyEvent::ZPopMin,
        Direction::Reverse => KeyEvent::ZPopMax,
    };
    remove_all(cx, key, zset, &popped, event)?;
    Ok(popped)
}

/// Removes members that are there, stores what is left, and tells of it.
pub(super) fn remove_all(
    cx: &mut Cx<'_>,
    key: &[u8],
    zset: &mut Collection,
    members: &[Scored],
    event: KeyEvent,
) -> Result<(), CommandError> {
    if members.is_empty() {
        return Ok(());
    }
    if members.len() as u64 >= zset.size {
        // The elements go with the key: nothing will look under its version again.
        zset.size = 0;
    } else {
        for (member, score) in members {
            remove(cx, zset, member, *score)?;
        }
    }
    cx.put_collection(key, zset)?;
    cx.modified(event, key);
    if zset.size == 0 {
        cx.modified(KeyEvent::Del, key);
    }
    Ok(())
}

fn zpop(cx: &mut Cx<'_>, request: &Request, side: Direction) -> Outcome {
    if request.len() > 3 {
        return Err(SYNTAX);
    }
    let count = request.get(2).map(args::non_negative).transpose()?;
    let Some(mut zset) = find(cx, &request[1])? else {
        cx.reply.array(0);
        return Ok(());
    };
    let popped = pop(cx, &request[1], &mut zset, side, count.unwrap_or(1))?;
    let pairs = count.is_some() && cx.reply.version() == Version::Resp3;
    cx.reply.array(if pairs { popped.len() } else { popped.len() * 2 });
    for (member, score) in &popped {
        if pairs {
            cx.reply.array(2);
        }
        cx.reply.bulk(member);
        cx.reply.double(*score);
    }
    Ok(())
}

/// Pops from the first of the keys that has members. False if none has.
fn pop_first<'k>(
    cx: &mut Cx<'_>,
    keys: impl Iterator<Item = &'k [u8]>,
    side: Direction,
    count: Option<u64>,
) -> Result<bool, CommandError> {
    for key in keys {
        let Some(mut zset) = cx.source(key, Kind::Zset)? else {
            continue;
        };
        let popped = pop(cx, key, &mut zset, side, count.unwrap_or(1))?;
        match count {
            None => {
                cx.reply.array(1 + popped.len() * 2);
                cx.reply.bulk(key);
            }
            Some(_) => {
                cx.reply.array(2);
                cx.reply.bulk(key);
                cx.reply.array(popped.len());
            }
        }
        for (member, score) in &popped {
            if count.is_some() {
                cx.reply.array(2);
            }
            cx.reply.bulk(member);
            cx.reply.double(*score);
        }
        return Ok(true);
    }
    Ok(false)
}

/// What a blocking command does when there is nothing to pop.
fn wait<'k>(cx: &mut Cx<'_>, keys: impl Iterator<Item = &'k [u8]>, timeout_ms: Option<u64>) -> Outcome {
    if cx.may_block {
        return Err(CommandError::Block(Block {
            keys: keys.map(<[u8]>::to_vec).collect(),
            kind: Some(Kind::Zset),
            timeout_ms,
            on_timeout: OnTimeout::NullArray,
        }));
    }
    cx.reply.null_array();
    Ok(())
}

fn bzpop(cx: &mut Cx<'_>, request: &Request, side: Direction) -> Outcome {
    let last = request.len() - 1;
    let timeout_ms = args::timeout(&request[last])?;
    let keys = || request.iter().take(last).skip(1);
    match pop_first(cx, keys(), side, None)? {
        true => Ok(()),
        false => wait(cx, keys(), timeout_ms),
    }
}

/// What ZMPOP and BZMPOP are asked for.
struct Mpop {
    /// Number of keys; they follow their number.
    keys: usize,
    side: Direction,
    count: u64,
}

fn parse_mpop(request: &Request, count_at: usize) -> Result<Mpop, CommandError> {
    let positive = |arg: &[u8], text: &'static str| {
        let n = parse_i64(arg).filter(|&n| n > 0);
        n.map(|n| n as u64).ok_or_else(|| CommandError::reply(text))
    };
    let keys = positive(&request[count_at], "ERR numkeys should be greater than 0")?;
    let keys = usize::try_from(keys).map_err(|_| SYNTAX)?;
    let side_at = (count_at + 1).checked_add(keys).ok_or(SYNTAX)?;
    let side = match request.get(side_at) {
        Some(side) if args::is(side, "MIN") => Direction::Forward,
        Some(side) if args::is(side, "MAX") => Direction::Reverse,
        _ => return Err(SYNTAX),
    };
    let count = match (request.get(side_at + 1), request.get(side_at + 2)) {
        (None, _) => 1,
        (Some(word), Some(count)) if args::is(word, "COUNT") => {
            let count = positive(count, "ERR count should be greater than 0")?;
            if request.len() > side_at + 3 {
                return Err(SYNTAX);
            }
            count
        }
        _ => return Err(SYNTAX),
    };
    Ok(Mpop { keys, side, count })
}

fn zmpop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let Mpop { keys, side, count } = parse_mpop(request, 1)?;
    if !pop_first(cx, request.iter().skip(2).take(keys), side, Some(count))? {
        cx.reply.null_array();
    }
    Ok(())
}

fn bzmpop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let Mpop { keys, side, count } = parse_mpop(request, 2)?;
    let timeout_ms = args::timeout(&request[1])?;
    let keys = || request.iter().skip(3).take(keys);
    match pop_first(cx, keys(), side, Some(count))? {
        true => Ok(()),
        false => wait(cx, keys(), timeout_ms),
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn pops_take_from_the_ends() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("zadd z 1 a 2 b 3 c 4 d 5 e");
            assert_eq!(bench.run("zpopmin z"), "*2|$1|a|$1|1|");
            assert_eq!(bench.heard, ["zpopmin z"]);
            assert_eq!(bench.run("zpopmax z 2"), "*4|$1|e|$1|5|$1|d|$1|4|");
            assert_eq!(bench.run("zpopmin z 0"), "*0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("zscore z e"), "$-1|");
            assert_eq!(bench.run("zpopmin z 10"), "*4|$1|b|$1|2|$1|c|$1|3|");
            assert_eq!(bench.heard, ["zpopmin z", "del z"]);
            assert_eq!(bench.run("zcard z"), ":0|");
            assert_eq!(bench.run("zpopmin z"), "*0|");
            bench.run("zadd z 1 a");
            assert_eq!(bench.run("zrange z 0 -1"), "*1|$1|a|");
        }
    }

    #[test]
    fn pops_in_resp3_are_pairs_when_counted() {
        let mut bench = Bench::new();
        bench.version = Version::Resp3;
        bench.run("zadd z 1 a 2 b 3 c 4 d 5 e");
        assert_eq!(bench.run("zpopmin z"), "*2|$1|a|,1|");
        assert_eq!(bench.run("zpopmin z 1"), "*1|*2|$1|b|,2|");
        assert_eq!(bench.run("bzpopmax z 0"), "*3|$1|z|$1|e|,5|");
        assert_eq!(bench.run("zmpop 1 z min count 9"), "*2|$1|z|*2|*2|$1|c|,3|*2|$1|d|,4|");
        assert_eq!(bench.run("zmpop 1 z min"), "_|");
    }

    #[test]
    fn the_first_key_with_members_is_popped() {
        let mut bench = Bench::new();
        bench.run("zadd b 1 x 2 y");
        assert_eq!(bench.run("zmpop 2 a b max"), "*2|$1|b|*1|*2|$1|y|$1|2|");
        assert_eq!(bench.heard, ["zpopmax b"]);
        assert_eq!(bench.run("bzpopmin a b c 1"), "*3|$1|b|$1|x|$1|1|");
        assert_eq!(bench.run("zmpop 2 a b max"), "*-1|");
        assert_eq!(bench.run("bzpopmin a b 0.5"), "+BLOCK Some(500)|");
        assert_eq!(bench.run("bzmpop 0 2 a b min count 3"), "+BLOCK None|");
        bench.may_block = false;
        assert_eq!(bench.run("bzpopmax a b 0"), "*-1|");
        assert_eq!(bench.run("bzmpop 0 2 a b min count 3"), "*-1|");
        bench.run("zadd b 1 x 2 y");
        assert_eq!(
            bench.run("bzmpop 0 2 a b min count 3"),
            "*2|$1|b|*2|*2|$1|x|$1|1|*2|$1|y|$1|2|"
        );
    }

    #[test]
    fn pops_refuse_wrong_arguments() {
        let mut bench = Bench::new();
        for (line, text) in [
            ("zpopmin z 1 2", "ERR syntax error"),
            ("zpopmin z -1", "ERR value is out of range, must be positive"),
            ("zpopmin z x", "ERR value is out of range, must be positive"),
            ("zmpop 0 z min", "ERR numkeys should be greater than 0"),
            ("zmpop x z min", "ERR numkeys should be greater than 0"),
            ("zmpop 9223372036854775807 z min", "ERR syntax error"),
            ("zmpop 2 z min", "ERR syntax error"),
            ("zmpop 1 z mid", "ERR syntax error"),
            ("zmpop 1 z min count 0", "ERR count should be greater than 0"),
            ("zmpop 1 z min count", "ERR syntax error"),
            ("zmpop 1 z min count 1 count 1", "ERR syntax error"),
            ("bzpopmin z x", "ERR timeout is not a float or out of range"),
            ("bzpopmin z -1", "ERR timeout is negative"),
            ("bzmpop x 1 z min", "ERR timeout is not a float or out of range"),
            ("bzmpop x 0 z min", "ERR numkeys should be greater than 0"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }
}
