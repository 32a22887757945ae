//! ZADD and ZINCRBY.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::layout::{change, find, member_key, parse_score, write};
use crate::error::SYNTAX;
use crate::spec::WRITE_FAST;
use crate::{
    Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Named, Outcome, SPEC, Spec, args,
};

pub(super) const ZADD: Spec = Spec {
    name: "zadd",
    summary: "Adds members to a sorted set, or gives members that are there another score.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    arity: -4,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    syntax: "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]",
    named: Named::each(3, 2),
    handler: Handler::Data(zadd),
    ..SPEC
};

pub(super) const ZINCRBY: Spec = Spec {
    name: "zincrby",
    summary: "Adds to the score of a member of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(log(N)) where N is the number of elements in the sorted set.",
    arity: 4,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key increment:double member",
    named: Named::one(3),
    handler: Handler::Data(zincrby),
    ..SPEC
};

/// What ZADD's options allow.
#[derive(Clone, Copy, Default)]
pub(crate) struct AddOptions {
    pub(crate) only_new: bool,
    pub(crate) only_existing: bool,
    pub(crate) only_greater: bool,
    pub(crate) only_less: bool,
    pub(crate) count_changed: bool,
    pub(crate) increment: bool,
}

fn zadd(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut options = AddOptions::default();
    let first = parse_options(request, &mut options);
    add_pairs(cx, request, first, options)
}

fn zincrby(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    // Redis shares ZADD's parser here, so `ZINCRBY key NX member` is a syntax error.
    let first = parse_options(request, &mut options);
    add_pairs(cx, request, first, options)
}

/// Reads the options; gives the index of the first score.
fn parse_options(request: &Request, options: &mut AddOptions) -> usize {
    let mut at = 2;
    while let Some(arg) = request.get(at) {
        let option = match arg {
            a if args::is(a, "NX") => &mut options.only_new,
            a if args::is(a, "XX") => &mut options.only_existing,
            a if args::is(a, "CH") => &mut options.count_changed,
            a if args::is(a, "INCR") => &mut options.increment,
            a if args::is(a, "GT") => &mut options.only_greater,
            a if args::is(a, "LT") => &mut options.only_less,
            _ => break,
        };
        *option = true;
        at += 1;
    }
    at
}

fn add_pairs(cx: &mut Cx<'_>, request: &Request, first: usize, options: AddOptions) -> Outcome {
    let pairs = request.len() - first;
    if pairs == 0 || !pairs.is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let AddOptions {
        only_new: nx,
        only_greater: gt,
        only_less: lt,
        ..
    } = options;
    if nx && options.only_existing {
        return Err(CommandError::reply(
            "ERR XX and NX options at the same time are not compatible",
        ));
    }
    if [nx, gt, lt].into_iter().filter(|&option| option).count() > 1 {
        return Err(CommandError::reply(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.increment && pairs > 2 {
        return Err(CommandError::reply(
            "ERR INCR option supports a single increment-element pair",
        ));
    }
    if pairs == 2 {
        let score = args::float(&request[first])?;
        return add(cx, &request[1], &[(score, &request[first + 1])], options);
    }
    let mut items = Vec::with_capacity(pairs / 2);
    for at in (first..request.len()).step_by(2) {
        items.push((args::float(&request[at])?, &request[at + 1]));
    }
    add(cx, &request[1], &items, options)
}

/// What became of one member.
enum Added {
    /// An option forbade it.
    Not,
    New(f64),
    Changed(f64),
    Same(f64),
}

/// ZADD after its arguments are read, replies included. GEOADD ends here too.
pub(crate) fn add(cx: &mut Cx<'_>, key: &[u8], items: &[(f64, &[u8])], options: AddOptions) -> Outcome {
    let mut zset = match find(cx, key)? {
        Some(zset) => zset,
        None if options.only_existing => {
            match options.increment {
                true => cx.reply.null(),
                false => cx.reply.integer(0),
            }
            return Ok(());
        }
        None => cx.new_collection(key, Kind::Zset, None),
    };
    let (mut added, mut changed, mut last) = (0i64, 0i64, None);
    for &(score, member) in items {
        last = match add_one(cx, &mut zset, score, member, options)? {
            Added::Not => None,
            Added::New(score) => {
                added += 1;
                Some(score)
            }
            Added::Changed(score) => {
                changed += 1;
                Some(score)
            }
            Added::Same(score) => Some(score),
        };
    }
    cx.put_collection(key, &mut zset)?;
    if added + changed > 0 {
        cx.modified(
            if options.increment {
                KeyEvent::ZIncr
            } else {
                KeyEvent::ZAdd
            },
            key,
        );
    }
    match (options.increment, last) {
        (true, Some(score)) => cx.reply.double(score),
        (true, None) => cx.reply.null(),
        (false, _) if options.count_changed => cx.reply.integer(added + changed),
        (false, _) => cx.reply.integer(added),
    }
    Ok(())
}

fn add_one(
    cx: &mut Cx<'_>,
    zset: &mut Collection,
    score: f64,
    member: &[u8],
    options: AddOptions,
) -> Result<Added, CommandError> {
    let entry = member_key(member);
    // A set that this command makes has nothing on disk to look for.
    let old = if zset.size == 0 {
        None
    } else {
        cx.element(zset, &entry)?
    };
    let Some(old) = old else {
        if options.only_existing {
            return Ok(Added::Not);
        }
        write(cx, zset, member, &entry, score)?;
        zset.size += 1;
        return Ok(Added::New(score + 0.0));
    };
    let old = parse_score(&old)?;
    if options.only_new {
        return Ok(Added::Not);
    }
    let new = if options.increment { old + score } else { score };
    if new.is_nan() {
        return Err(CommandError::reply("ERR resulting score is not a number (NaN)"));
    }
    if (options.only_less && new >= old) || (options.only_greater && new <= old) {
        return Ok(Added::Not);
    }
    if new == old {
        return Ok(Added::Same(old));
    }
    change(cx, zset, member, &entry, (old, new))?;
    Ok(Added::Changed(new + 0.0))
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn zadd_counts_what_is_new_or_with_ch_what_changed() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("zadd z 1 a 2 b"), ":2|");
            assert_eq!(bench.heard, ["new z", "ready z", "zadd z"]);
            assert_eq!(bench.run("zadd z 1 a 2 b"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("zadd z ch 1 a 3 b 4 c"), ":2|");
            assert_eq!(bench.heard, ["ready z", "zadd z"]);
            assert_eq!(bench.run("zadd z 5 b"), ":0|");
            assert_eq!(bench.heard, ["zadd z"]);
            assert_eq!(bench.run("zadd z 5 d 6 d 7 d"), ":1|");
            assert_eq!(
                bench.run("zrange z 0 -1 withscores"),
                "*8|$1|a|$1|1|$1|c|$1|4|$1|b|$1|5|$1|d|$1|7|"
            );
            assert_eq!(bench.run("zcard z"), ":4|");
        }
    }

    #[test]
    fn options_limit_what_zadd_does() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("zadd z xx 1 a"), ":0|");
        assert!(bench.heard.is_empty());
        assert_eq!(bench.run("zadd z xx incr 1 a"), "$-1|");
        assert_eq!(bench.run("zadd z nx 1 a"), ":1|");
        assert_eq!(bench.run("zadd z nx ch 2 a 2 b"), ":1|");
        assert_eq!(bench.run("zadd z xx ch 2 a 2 c"), ":1|");
        assert_eq!(bench.run("zadd z gt ch 1 a 3 b"), ":1|");
        assert_eq!(bench.run("zadd z lt ch 1 a 9 b"), ":1|");
        assert_eq!(bench.run("zadd z gt xx ch 8 a 8 c"), ":1|");
        assert_eq!(bench.run("zrange z 0 -1 withscores"), "*4|$1|b|$1|3|$1|a|$1|8|");
        assert_eq!(bench.run("zadd z incr nx 1 a"), "$-1|");
        assert_eq!(bench.run("zadd z incr gt -1 a"), "$-1|");
        assert_eq!(bench.run("zadd z incr lt -1 a"), "$1|7|");
        assert_eq!(bench.heard, ["zincr z"]);
        assert_eq!(bench.run("zadd z incr 0 a"), "$1|7|");
        assert!(bench.heard.is_empty());
        bench.version = Version::Resp3;
        assert_eq!(bench.run("zadd z incr 1.5 a"), ",8.5|");
        assert_eq!(bench.run("zincrby z 1 new"), ",1|");
        assert_eq!(bench.run("zadd z incr nx 1 a"), "_|");
    }

    #[test]
    fn wrong_arguments_change_nothing() {
        let mut bench = Bench::new();
        for (line, text) in [
            ("zadd z 1 a 2", "ERR syntax error"),
            ("zadd z nx 1", "ERR syntax error"),
            ("zadd z 1 a b b", "ERR value is not a valid float"),
            ("zadd z nan a", "ERR value is not a valid float"),
            (
                "zadd z nx xx 1 a",
                "ERR XX and NX options at the same time are not compatible",
            ),
            (
                "zadd z gt lt 1 a",
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "zadd z gt nx 1 a",
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ),
            (
                "zadd z incr 1 a 2 b",
                "ERR INCR option supports a single increment-element pair",
            ),
            ("zincrby z nx a", "ERR syntax error"),
            ("zincrby z x a", "ERR value is not a valid float"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
        assert_eq!(bench.run("zcard z"), ":0|");
        bench.run("zadd z inf a");
        assert_eq!(
            bench.run("zincrby z -inf a"),
            "-ERR resulting score is not a number (NaN)|"
        );
        assert_eq!(bench.run("zscore z a"), "$3|inf|");
    }

    #[test]
    fn minus_zero_is_zero() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("zadd z -0 a 0 b"), ":2|");
        assert_eq!(bench.run("zscore z a"), "$1|0|");
        assert_eq!(bench.run("zadd z incr -0 c"), "$1|0|");
        assert_eq!(bench.run("zrange z 0 -1"), "*3|$1|a|$1|b|$1|c|");
    }
}
