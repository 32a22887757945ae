//! ZREM and the ZREMRANGE commands.

use haypile_resp::Request;

use super::bounds::{LexRange, ScoreRange, Select};
use super::layout::{Scored, find, remove, score_of};
use super::pop::remove_all;
use super::walk::{Window, for_each};
use crate::spec::{REMOVE, REMOVE_FAST};
use crate::{Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Named, Outcome, SPEC, Spec, args};

const COMPLEXITY: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
     elements removed by the operation.";

pub(super) const ZREM: Spec = Spec {
    name: "zrem",
    summary: "Removes members from a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
    arity: -3,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::DELETE,
    syntax: "key member [member ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(zrem),
    ..SPEC
};

pub(super) const ZREMRANGEBYRANK: Spec = Spec {
    name: "zremrangebyrank",
    summary: "Removes the members of a sorted set within a range of indexes.",
    since: "2.0.0",
    group: Group::SortedSet,
    complexity: COMPLEXITY,
    arity: 4,
    flags: REMOVE,
    keys: Keys::ONE,
    access: KeyAccess::DELETE,
    syntax: "key start:integer stop:integer",
    handler: Handler::Data(zremrangebyrank),
    ..SPEC
};

pub(super) const ZREMRANGEBYSCORE: Spec = Spec {
    name: "zremrangebyscore",
    summary: "Removes the members of a sorted set within a range of scores.",
    since: "1.2.0",
    access: KeyAccess::DELETE,
    syntax: "key min:double max:double",
    handler: Handler::Data(zremrangebyscore),
    ..ZREMRANGEBYRANK
};

pub(super) const ZREMRANGEBYLEX: Spec = Spec {
    name: "zremrangebylex",
    summary: "Removes the members of a sorted set of equal scores within a range of members.",
    since: "2.8.9",
    access: KeyAccess::DELETE,
    syntax: "key min max",
    handler: Handler::Data(zremrangebylex),
    ..ZREMRANGEBYRANK
};

fn zrem(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let mut removed = 0;
    if let Some(mut zset) = find(cx, key)? {
        for member in request.iter().skip(2) {
            if let Some(score) = score_of(cx, &zset, member)? {
                remove(cx, &mut zset, member, score)?;
                removed += 1;
            }
        }
        if removed > 0 {
            cx.put_collection(key, &mut zset)?;
            cx.modified(KeyEvent::ZRem, key);
            if zset.size == 0 {
                cx.modified(KeyEvent::Del, key);
            }
        }
    }
    cx.reply.integer(removed);
    Ok(())
}

fn zremrangebyrank(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let select = Select::Rank(args::integer(&request[2])?, args::integer(&request[3])?);
    remove_range(cx, &request[1], &select, KeyEvent::ZRemRangeByRank)
}

fn zremrangebyscore(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let select = Select::Score(ScoreRange::parse(&request[2], &request[3])?);
    remove_range(cx, &request[1], &select, KeyEvent::ZRemRangeByScore)
}

fn zremrangebylex(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let select = Select::Lex(LexRange::parse(&request[2], &request[3])?);
    remove_range(cx, &request[1], &select, KeyEvent::ZRemRangeByLex)
}

fn remove_range(cx: &mut Cx<'_>, key: &[u8], select: &Select, event: KeyEvent) -> Outcome {
    let Some(mut zset) = find(cx, key)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let all = match select {
        Select::Rank(start, end) => args::range(*start, *end, zset.size) == (0..zset.size),
        Select::Score(range) => range.is_all(),
        Select::Lex(range) => range.is_all(),
    };
    if all {
        cx.reply.integer(zset.size as i64);
        zset.size = 0;
        cx.put_collection(key, &mut zset)?;
        cx.modified(event, key);
        cx.modified(KeyEvent::Del, key);
        return Ok(());
    }
    let mut found: Vec<Scored> = Vec::new();
    for_each(cx, &zset, select, Window::ALL, |_, score, member| {
        found.push((member.to_vec(), score));
    })?;
    remove_all(cx, key, &mut zset, &found, event)?;
    cx.reply.integer(found.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn zrem_removes_both_elements_of_a_member() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("zadd z 1 a 2 b 3 c");
            assert_eq!(bench.run("zrem z a x a"), ":1|");
            assert_eq!(bench.heard, ["zrem z"]);
            assert_eq!(bench.run("zrem z x"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("zrange z 0 -1"), "*2|$1|b|$1|c|");
            assert_eq!(bench.run("zrem z c b b"), ":2|");
            assert_eq!(bench.heard, ["zrem z", "del z"]);
            assert_eq!(bench.run("zrem z c"), ":0|");
        }
    }

    #[test]
    fn ranges_are_removed_by_index_score_and_member() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("zadd z 1 a 2 b 3 c 4 d 5 e 6 f");
            assert_eq!(bench.run("zremrangebyrank z 1 -4"), ":2|");
            assert_eq!(bench.heard, ["zremrangebyrank z"]);
            assert_eq!(bench.run("zrange z 0 -1"), "*4|$1|a|$1|d|$1|e|$1|f|");
            assert_eq!(bench.run("zremrangebyscore z (4 5"), ":1|");
            assert_eq!(bench.run("zremrangebyscore z (4 (6"), ":0|");
            assert_eq!(bench.run("zscore z e"), "$-1|");
            assert_eq!(bench.run("zremrangebyscore z -inf +inf"), ":3|");
            assert_eq!(bench.heard, ["zremrangebyscore z", "del z"]);
            bench.run("zadd z 0 a 0 b 0 c");
            assert_eq!(bench.run("zremrangebylex z [b +"), ":2|");
            assert_eq!(bench.run("zrange z 0 -1"), "*1|$1|a|");
            assert_eq!(bench.run("zremrangebylex z [a [a"), ":1|");
            assert_eq!(bench.heard, ["zremrangebylex z", "del z"]);
            assert_eq!(bench.run("zremrangebylex z [a [a"), ":0|");
        }
    }

    #[test]
    fn ranges_have_to_be_ranges() {
        let mut bench = Bench::new();
        for (line, text) in [
            ("zremrangebyrank z a 1", "ERR value is not an integer or out of range"),
            ("zremrangebyscore z a 1", "ERR min or max is not a float"),
            ("zremrangebylex z a 1", "ERR min or max not valid string range item"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }
}
