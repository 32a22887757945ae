//! ZRANGE, its older forms and ZRANGESTORE.

use haypile_resp::Request;

use super::bounds::{LexRange, ScoreRange, Select};
use super::layout::{Scored, find};
use super::store::replace;
use super::walk::{Shape, Window, for_each};
use crate::error::SYNTAX;
use crate::spec::{READ, WRITE};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec, args};

const COMPLEXITY: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
     elements being returned. A range by index takes as many steps more as its nearer end is away from an end of the set.";

pub(super) const ZRANGE: Spec = Spec {
    name: "zrange",
    summary: "Returns the members of a sorted set within a range of indexes, scores or members.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY,
    arity: -4,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    handler: Handler::Data(|cx, request| range(cx, request, None, None)),
    ..SPEC
};

pub(super) const ZREVRANGE: Spec = Spec {
    name: "zrevrange",
    summary: "Returns the members of a sorted set within a range of indexes, the highest scores first.",
    arity: -4,
    syntax: "key start:integer stop:integer [WITHSCORES]",
    handler: Handler::Data(|cx, request| range(cx, request, Some(By::Rank), Some(true))),
    ..ZRANGE
};

pub(super) const ZRANGEBYSCORE: Spec = Spec {
    name: "zrangebyscore",
    summary: "Returns the members of a sorted set within a range of scores.",
    since: "1.0.5",
    syntax: "key min:double max:double [WITHSCORES] [LIMIT offset count]",
    handler: Handler::Data(|cx, request| range(cx, request, Some(By::Score), Some(false))),
    ..ZRANGE
};

pub(super) const ZREVRANGEBYSCORE: Spec = Spec {
    name: "zrevrangebyscore",
    summary: "Returns the members of a sorted set within a range of scores, the highest scores first.",
    since: "2.2.0",
    syntax: "key max:double min:double [WITHSCORES] [LIMIT offset count]",
    handler: Handler::Data(|cx, request| range(cx, request, Some(By::Score), Some(true))),
    ..ZRANGE
};

pub(super) const ZRANGEBYLEX: Spec = Spec {
    name: "zrangebylex",
    summary: "Returns the members of a sorted set of equal scores within a range of members.",
    since: "2.8.9",
    syntax: "key min max [LIMIT offset count]",
    handler: Handler::Data(|cx, request| range(cx, request, Some(By::Lex), Some(false))),
    ..ZRANGE
};

pub(super) const ZREVRANGEBYLEX: Spec = Spec {
    name: "zrevrangebylex",
    summary: "Returns the members of a sorted set of equal scores within a range of members, in reverse order.",
    since: "2.8.9",
    syntax: "key max min [LIMIT offset count]",
    handler: Handler::Data(|cx, request| range(cx, request, Some(By::Lex), Some(true))),
    ..ZRANGE
};

pub(super) const ZRANGESTORE: Spec = Spec {
    name: "zrangestore",
    summary: "Stores the members of a sorted set within a range of indexes, scores or members under another key.",
    since: "6.2.0",
    arity: -5,
    flags: WRITE,
    keys: Keys::TWO,
    access: KeyAccess::STORE,
    syntax: "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]",
    handler: Handler::Data(zrangestore),
    ..ZRANGE
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

struct RangeArgs {
    select: Select,
    window: Window,
    with_scores: bool,
}

/// Reads the arguments from the source key, argument `first`, on. `by` and `reverse` are what the command's name has
/// said already.
fn parse(
    request: &Request,
    first: usize,
    store: bool,
    mut by: Option<By>,
    mut reverse: Option<bool>,
) -> Result<RangeArgs, CommandError> {
    let (mut offset, mut limit, mut with_scores) = (0, -1, false);
    let mut at = first + 3;
    while let Some(arg) = request.get(at) {
        let left = request.len() - at - 1;
        if !store && args::is(arg, "WITHSCORES") {
            with_scores = true;
        } else if args::is(arg, "LIMIT") && left >= 2 {
            offset = args::integer(&request[at + 1])?;
            limit = args::integer(&request[at + 2])?;
            at += 2;
        } else if reverse.is_none() && args::is(arg, "REV") {
            reverse = Some(true);
        } else if by.is_none() && args::is(arg, "BYLEX") {
            by = Some(By::Lex);
        } else if by.is_none() && args::is(arg, "BYSCORE") {
            by = Some(By::Score);
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
    if limit != -1 && by == By::Rank {
        return Err(CommandError::reply(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if with_scores && by == By::Lex {
        return Err(CommandError::reply(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    let (mut min, mut max) = (&request[first + 1], &request[first + 2]);
    if reverse && by != By::Rank {
        std::mem::swap(&mut min, &mut max);
    }
    let select = match by {
        By::Rank => Select::Rank(args::integer(min)?, args::integer(max)?),
        By::Score => Select::Score(ScoreRange::parse(min, max)?),
        By::Lex => Select::Lex(LexRange::parse(min, max)?),
    };
    Ok(RangeArgs {
        select,
        window: Window { reverse, offset, limit },
        with_scores,
    })
}

fn range(cx: &mut Cx<'_>, request: &Request, by: Option<By>, reverse: Option<bool>) -> Outcome {
    let args = parse(request, 1, false, by, reverse)?;
    let Some(zset) = find(cx, &request[1])? else {
        cx.reply.array(0);
        return Ok(());
    };
    let shape = Shape::new(cx.reply, args.with_scores);
    if let Select::Rank(start, end) = args.select {
        let range = args::range(start, end, zset.size);
        cx.reply.array(shape.len((range.end - range.start) as usize));
        for_each(cx, &zset, &args.select, args.window, |reply, score, member| {
            shape.write(reply, member, score);
        })?;
        return Ok(());
    }
    let place = cx.reply.deferred_len();
    let written = for_each(cx, &zset, &args.select, args.window, |reply, score, member| {
        shape.write(reply, member, score);
    })?;
    cx.reply.set_deferred_array(place, shape.len(written as usize));
    Ok(())
}

fn zrangestore(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let args = parse(request, 2, true, None, None)?;
    let mut items: Vec<Scored> = Vec::new();
    if let Some(zset) = find(cx, &request[2])? {
        for_each(cx, &zset, &args.select, args.window, |_, score, member| {
            items.push((member.to_vec(), score));
        })?;
    }
    replace(cx, &request[1], &items, KeyEvent::ZRangeStore)?;
    cx.reply.integer(items.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    fn bench(apply: bool) -> Bench {
        let mut bench = Bench::new();
        bench.apply = apply;
        bench.run("zadd z 1 a 2 b 3 c 4 d 5 e");
        bench.run("zadd lex 0 a 0 b 0 c 0 d 0 e");
        bench
    }

    #[test]
    fn ranges_by_index_score_and_member() {
        for apply in [true, false] {
            let mut bench = bench(apply);
            for (line, reply) in [
                ("zrange z 0 1", "*2|$1|a|$1|b|"),
                ("zrange z -2 -1", "*2|$1|d|$1|e|"),
                ("zrange z 3 100 rev", "*2|$1|b|$1|a|"),
                ("zrange z 0 1 rev", "*2|$1|e|$1|d|"),
                ("zrevrange z 1 1 withscores", "*2|$1|d|$1|4|"),
                ("zrange z 5 9", "*0|"),
                ("zrange nothing 0 -1", "*0|"),
                ("zrange z (1 3 byscore", "*2|$1|b|$1|c|"),
                ("zrange z 3 -inf byscore rev limit 1 1", "*1|$1|b|"),
                (
                    "zrangebyscore z 2 +inf withscores limit 2 -1",
                    "*4|$1|d|$1|4|$1|e|$1|5|",
                ),
                ("zrevrangebyscore z 2 (1", "*1|$1|b|"),
                ("zrangebyscore z 3 2", "*0|"),
                ("zrangebylex lex [b (d", "*2|$1|b|$1|c|"),
                ("zrevrangebylex lex (d - limit 0 2", "*2|$1|c|$1|b|"),
                ("zrange lex + (c bylex rev", "*2|$1|e|$1|d|"),
                ("zrangestore s z 1 -2", ":3|"),
                ("zrange s 0 -1 withscores", "*6|$1|b|$1|2|$1|c|$1|3|$1|d|$1|4|"),
                ("zrangestore z z -inf (3 byscore", ":2|"),
                ("zrange z 0 -1", "*2|$1|a|$1|b|"),
                ("zrangestore s nothing 0 -1", ":0|"),
                ("zcard s", ":0|"),
            ] {
                assert_eq!(bench.run(line), reply, "{line}");
            }
        }
    }

    #[test]
    fn scores_in_resp3_are_pairs() {
        let mut bench = bench(true);
        bench.version = Version::Resp3;
        assert_eq!(bench.run("zrange z 0 1 withscores"), "*2|*2|$1|a|,1|*2|$1|b|,2|");
        assert_eq!(bench.run("zrangebyscore z 5 9 withscores"), "*1|*2|$1|e|,5|");
    }

    #[test]
    fn events_of_storing() {
        let mut bench = bench(true);
        bench.run("zrangestore s z 0 -1");
        assert_eq!(bench.heard, ["new s", "ready s", "zrangestore s"]);
        bench.run("zrangestore s z 7 9");
        assert_eq!(bench.heard, ["del s"]);
    }

    #[test]
    fn options_have_to_fit_the_range() {
        let mut bench = bench(true);
        let limit = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
        let scores = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
        for (line, text) in [
            ("zrange z 0 1 limit 0 1", limit),
            ("zrevrange z 0 1 limit 0 1", limit),
            ("zrange lex - + bylex withscores", scores),
            ("zrangebylex lex - + withscores", scores),
            ("zrange z 0 1 byscore limit 0", "ERR syntax error"),
            ("zrange z 0 1 byscore bylex", "ERR syntax error"),
            ("zrevrange z 0 1 rev", "ERR syntax error"),
            ("zrangestore s z 0 1 withscores", "ERR syntax error"),
            ("zrange z a 1", "ERR value is not an integer or out of range"),
            ("zrange z a 1 byscore", "ERR min or max is not a float"),
            ("zrange z a + bylex", "ERR min or max not valid string range item"),
            (
                "zrange z 0 1 byscore limit x 1",
                "ERR value is not an integer or out of range",
            ),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }
}
