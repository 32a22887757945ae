//! ZCOUNT, ZLEXCOUNT, ZRANK and ZREVRANK: how many elements lie in a span.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::packed::PackedZset;
use haypile_store::row::Kind;

use super::bounds::{LexRange, ScoreRange, Span};
use super::layout::{find, index_key, score_from, score_of};
use super::order::{WORTH_BEGINNING, rank_of};
use super::walk::walk;
use crate::cx::Found;
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Named, Outcome, SPEC, Spec, args};

// Redis calls all of these fast, and knows ranks from its skip list. Here they scan where ranks are not known yet, and want a snapshot
// for that.

const COMPLEXITY: &str =
    "O(log(N)) as a rule, with N being the number of elements in the sorted set; O(N) the first time.";

pub(super) const ZCOUNT: Spec = Spec {
    name: "zcount",
    summary: "Counts the members of a sorted set within a range of scores.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY,
    arity: 4,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key min:double max:double",
    handler: Handler::Data(zcount),
    ..SPEC
};

pub(super) const ZLEXCOUNT: Spec = Spec {
    name: "zlexcount",
    summary: "Counts the members of a sorted set of equal scores within a range of members.",
    since: "2.8.9",
    syntax: "key min max",
    handler: Handler::Data(zlexcount),
    ..ZCOUNT
};

pub(super) const ZRANK: Spec = Spec {
    name: "zrank",
    summary: "Returns the index of a member of a sorted set.",
    since: "2.0.0",
    arity: -3,
    syntax: "key member [WITHSCORE]",
    named: Named::one(2),
    handler: Handler::Data(|cx, request| rank(cx, request, false)),
    ..ZCOUNT
};

pub(super) const ZREVRANK: Spec = Spec {
    name: "zrevrank",
    summary: "Returns the index of a member of a sorted set, counted from the highest score.",
    named: Named::one(2),
    handler: Handler::Data(|cx, request| rank(cx, request, true)),
    ..ZRANK
};

/// Elements that are counted before the other way is tried; it doubles each time.
const FIRST_STEP: u64 = 64;

/// Counts the elements of a span.
///
/// Those in it and those around it are counted by turns, in growing steps, until one of the two counts is complete: the
/// set's size gives the other.
fn count(cx: &mut Cx<'_>, zset: &Collection, span: Span) -> Result<u64, CommandError> {
    if span.filter.is_some() {
        return walk(cx, zset, &span, Direction::Forward, (0, u64::MAX), |_, _, _| true);
    }
    let all = Span::all();
    if span.is_empty() {
        return Ok(0);
    }
    let part = |lower: &[u8], upper: &[u8]| Span {
        lower: lower.into(),
        upper: upper.into(),
        filter: None,
    };
    if zset.is_packed() {
        return walk(cx, zset, &span, Direction::Forward, (0, u64::MAX), |_, _, _| true);
    }
    if let Some(count) = count_by_ranks(cx, zset, &span, false)? {
        return Ok(count);
    }
    let mut inside = Counter::new(vec![part(&span.lower, &span.upper)]);
    let mut outside = Counter::new(vec![part(&span.upper, &all.upper), part(&all.lower, &span.lower)]);
    let mut step = FIRST_STEP;
    loop {
        if inside.step(cx, zset, step)? {
            return Ok(inside.counted);
        }
        if outside.step(cx, zset, step)? {
            return Ok(zset.size.saturating_sub(outside.counted));
        }
        step = step.saturating_mul(2);
        if step > WORTH_BEGINNING
            && let Some(count) = count_by_ranks(cx, zset, &span, true)?
        {
            return Ok(count);
        }
    }
}

/// The same by the ranks of both ends, if these are known.
fn count_by_ranks(
    cx: &mut Cx<'_>,
    zset: &Collection,
    span: &Span,
    may_begin: bool,
) -> Result<Option<u64>, CommandError> {
    let Some(first) = rank_of(cx, zset, &span.lower, may_begin)? else {
        return Ok(None);
    };
    let end = rank_of(cx, zset, &span.upper, may_begin)?;
    Ok(end.map(|end| end.saturating_sub(first)))
}

/// Counts what lies in several spans, a step at a time.
struct Counter {
    /// What is left, the next one last.
    spans: Vec<Span>,
    counted: u64,
}

impl Counter {
    fn new(spans: Vec<Span>) -> Self {
        Counter { spans, counted: 0 }
    }

    /// Counts up to `step` elements more. True if there are no others.
    fn step(&mut self, cx: &mut Cx<'_>, zset: &Collection, mut step: u64) -> Result<bool, CommandError> {
        while let Some(span) = self.spans.last_mut() {
            if span.is_empty() {
                self.spans.pop();
                continue;
            }
            let mut scan = cx.scan(zset, &span.lower, Some(&span.upper), Direction::Forward)?;
            let mut next = None;
            while let Some((data_key, _)) = scan.next()? {
                if step == 0 {
                    next = Some(data_key.into());
                    break;
                }
                self.counted += 1;
                step -= 1;
            }
            drop(scan);
            match next {
                Some(next) => {
                    span.lower = next;
                    return Ok(false);
                }
                None => drop(self.spans.pop()),
            }
        }
        debug_assert!(self.counted <= zset.size);
        Ok(true)
    }
}

fn zcount(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let range = ScoreRange::parse(&request[2], &request[3])?;
    let counted = match find(cx, &request[1])? {
        None => 0,
        Some(zset) if range.is_all() => zset.size,
        Some(zset) => count(cx, &zset, Span::of_scores(range))?,
    };
    cx.reply.integer(counted as i64);
    Ok(())
}

fn zlexcount(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let range = LexRange::parse(&request[2], &request[3])?;
    let counted = match find(cx, &request[1])? {
        None => 0,
        Some(zset) if range.is_all() => zset.size,
        Some(zset) => {
            let span = Span::of_lex(cx, &zset, &range)?;
            count(cx, &zset, span)?
        }
    };
    cx.reply.integer(counted as i64);
    Ok(())
}

fn rank(cx: &mut Cx<'_>, request: &Request, reverse: bool) -> Outcome {
    let with_score = match (request.get(3), request.len()) {
        (None, _) => false,
        (Some(word), 4) if args::is(word, "WITHSCORE") => true,
        (Some(_), 4) => return Err(SYNTAX),
        _ => {
            let name = if reverse { "zrevrank" } else { "zrank" };
            return Err(CommandError::reply(format!(
                "ERR wrong number of arguments for '{name}' command"
            )));
        }
    };
    let found = match cx.find(&request[1], Kind::Zset)? {
        None => None,
        Some(Found::Packed(row)) => {
            let zset = PackedZset::read(row.body())?;
            let found = zset.rank(&request[2])?;
            found.map(|(rank, score)| (rank as u64, zset.len() as u64, score_from(score)))
        }
        Some(Found::Spread(zset)) => match score_of(cx, &zset, &request[2])? {
            None => None,
            Some(score) => {
                let before = Span {
                    upper: index_key(score, &request[2]),
                    ..Span::all()
                };
                Some((count(cx, &zset, before)?, zset.size, score))
            }
        },
    };
    let Some((before, size, score)) = found else {
        match with_score {
            true => cx.reply.null_array(),
            false => cx.reply.null(),
        }
        return Ok(());
    };
    let rank = if reverse {
        size.saturating_sub(before + 1)
    } else {
        before
    };
    if with_score {
        cx.reply.array(2);
    }
    cx.reply.integer(rank as i64);
    if with_score {
        cx.reply.double(score);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn ranks_count_from_either_end() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("zadd z 1 a 2 b 2 c");
            assert_eq!(bench.run("zrank z a"), ":0|");
            assert_eq!(bench.run("zrank z c"), ":2|");
            assert_eq!(bench.run("zrevrank z c"), ":0|");
            assert_eq!(bench.run("zrevrank z a withscore"), "*2|:2|$1|1|");
            assert_eq!(bench.run("zrank z x"), "$-1|");
            assert_eq!(bench.run("zrank z x withscore"), "*-1|");
            assert_eq!(bench.run("zrank nothing x"), "$-1|");
            assert_eq!(bench.run("zrank z a withscores"), "-ERR syntax error|");
            assert_eq!(
                bench.run("zrank z a withscore x"),
                "-ERR wrong number of arguments for 'zrank' command|"
            );
            bench.version = Version::Resp3;
            assert_eq!(bench.run("zrank z b withscore"), "*2|:1|,2|");
            assert_eq!(bench.run("zrank z x"), "_|");
        }
    }

    #[test]
    fn counts_agree_from_inside_and_outside() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            let mut line = "zadd z".to_owned();
            (0..1000).for_each(|i| line.push_str(&format!(" {i} m{i:04}")));
            bench.run(&line);
            for i in [0, 1, 63, 64, 65, 127, 128, 129, 200, 500, 501, 800, 935, 936, 998, 999] {
                assert_eq!(bench.run(&format!("zrank z m{i:04}")), format!(":{i}|"));
                assert_eq!(bench.run(&format!("zrevrank z m{i:04}")), format!(":{}|", 999 - i));
                assert_eq!(bench.run(&format!("zcount z {i} inf")), format!(":{}|", 1000 - i));
                assert_eq!(bench.run(&format!("zcount z -inf ({i}")), format!(":{i}|"));
                assert_eq!(bench.run(&format!("zcount z {i} {i}")), ":1|");
                assert_eq!(bench.run(&format!("zcount z ({i} {i}")), ":0|");
            }
            assert_eq!(bench.run("zcount z 100 (900"), ":800|");
            assert_eq!(bench.run("zcount z 900 100"), ":0|");
            assert_eq!(bench.run("zcount z -inf +inf"), ":1000|");
            assert_eq!(bench.run("zcount nothing -inf +inf"), ":0|");
            assert_eq!(bench.run("zlexcount z [m0100 (m0900"), ":800|");
            assert_eq!(bench.run("zcount z x 1"), "-ERR min or max is not a float|");
        }
    }

    #[test]
    fn lexicographical_counts() {
        let mut bench = Bench::new();
        bench.run("zadd z 0 a 0 b 0 c 0 d");
        for (min, max, n) in [
            ("-", "+", 4),
            ("[b", "(d", 2),
            ("(b", "+", 2),
            ("-", "[b", 2),
            ("+", "-", 0),
            ("[d", "[a", 0),
        ] {
            assert_eq!(
                bench.run(&format!("zlexcount z {min} {max}")),
                format!(":{n}|"),
                "{min} {max}"
            );
        }
        assert_eq!(
            bench.run("zlexcount z a b"),
            "-ERR min or max not valid string range item|"
        );
        assert_eq!(bench.run("zlexcount nothing - +"), ":0|");
    }
}
