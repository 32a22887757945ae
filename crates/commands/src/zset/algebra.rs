//! ZINTER, ZUNION, ZDIFF, their STORE forms and ZINTERCARD.

use haypile_resp::Request;

use super::combine::{Combination, Form, Operation};
use super::store::replace;
use super::walk::Shape;
use crate::spec::{READ, WRITE};
use crate::{Cx, Flags, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

const DIFF_COMPLEXITY: &str = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N \
     is the size of the first set, and K is the size of the result set.";
const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the \
     number of input sorted sets and M being the number of elements in the resulting sorted set.";
const UNION_COMPLEXITY: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M \
     being the number of elements in the resulting sorted set.";

const READING: Spec = Spec {
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: READ.or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 1,
        also: None,
    },
    ..SPEC
};

const STORING: Spec = Spec {
    since: "2.0.0",
    group: Group::SortedSet,
    arity: -4,
    flags: WRITE.or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 2,
        also: Some(1),
    },
    ..SPEC
};

pub(super) const ZUNION: Spec = Spec {
    name: "zunion",
    summary: "Returns the union of sorted sets.",
    complexity: UNION_COMPLEXITY,
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]",
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Union)),
    ..READING
};

pub(super) const ZINTER: Spec = Spec {
    name: "zinter",
    summary: "Returns the intersection of sorted sets.",
    complexity: INTER_COMPLEXITY,
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]",
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Intersection)),
    ..READING
};

pub(super) const ZDIFF: Spec = Spec {
    name: "zdiff",
    summary: "Returns what the first sorted set has and the others have not.",
    complexity: DIFF_COMPLEXITY,
    syntax: "numkeys key [key ...] [WITHSCORES]",
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Difference)),
    ..READING
};

pub(super) const ZINTERCARD: Spec = Spec {
    name: "zintercard",
    summary: "Returns the number of members in the intersection of sorted sets.",
    since: "7.0.0",
    complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
    syntax: "numkeys key [key ...] [LIMIT limit]",
    handler: Handler::Data(zintercard),
    ..READING
};

pub(super) const ZUNIONSTORE: Spec = Spec {
    name: "zunionstore",
    summary: "Stores the union of sorted sets.",
    complexity: UNION_COMPLEXITY,
    access: KeyAccess::STORE,
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]",
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Union, KeyEvent::ZUnionStore)),
    ..STORING
};

pub(super) const ZINTERSTORE: Spec = Spec {
    name: "zinterstore",
    summary: "Stores the intersection of sorted sets.",
    complexity: INTER_COMPLEXITY,
    access: KeyAccess::STORE,
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]",
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Intersection, KeyEvent::ZInterStore)),
    ..STORING
};

pub(super) const ZDIFFSTORE: Spec = Spec {
    name: "zdiffstore",
    summary: "Stores what the first sorted set has and the others have not.",
    since: "6.2.0",
    complexity: DIFF_COMPLEXITY,
    access: KeyAccess::STORE,
    syntax: "destination numkeys key [key ...]",
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Difference, KeyEvent::ZDiffStore)),
    ..STORING
};

fn reply(cx: &mut Cx<'_>, request: &Request, operation: Operation) -> Outcome {
    let combination = Combination::parse(cx, request, 1, operation, Form::Reply)?;
    let members = combination.sorted(cx)?;
    let shape = Shape::new(cx.reply, combination.with_scores);
    cx.reply.array(shape.len(members.len()));
    for (member, score) in &members {
        shape.write(cx.reply, member, *score);
    }
    Ok(())
}

fn store(cx: &mut Cx<'_>, request: &Request, operation: Operation, event: KeyEvent) -> Outcome {
    let members = Combination::parse(cx, request, 2, operation, Form::Store)?.members(cx)?;
    replace(cx, &request[1], &members, event)?;
    cx.reply.integer(members.len() as i64);
    Ok(())
}

fn zintercard(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let combination = Combination::parse(cx, request, 1, Operation::Intersection, Form::Cardinality)?;
    let count = combination.cardinality(cx)?;
    cx.reply.integer(count as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    fn bench(apply: bool) -> Bench {
        let mut bench = Bench::new();
        bench.apply = apply;
        bench.run("zadd a 1 a 2 b 3 c");
        bench.run("zadd b 1 b 2 c 3 d");
        bench
    }

    #[test]
    fn sets_are_combined() {
        for apply in [true, false] {
            let mut bench = bench(apply);
            for (line, reply) in [
                ("zunion 2 a b withscores", "*8|$1|a|$1|1|$1|b|$1|3|$1|d|$1|3|$1|c|$1|5|"),
                ("zunion 2 a nothing", "*3|$1|a|$1|b|$1|c|"),
                ("zinter 2 a b", "*2|$1|b|$1|c|"),
                ("zinter 2 a b weights 2 3 withscores", "*4|$1|b|$1|7|$1|c|$2|12|"),
                ("zinter 2 a b aggregate min withscores", "*4|$1|b|$1|1|$1|c|$1|2|"),
                (
                    "zunion 2 a b aggregate max withscores",
                    "*8|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|$1|d|$1|3|",
                ),
                ("zinter 2 a nothing", "*0|"),
                ("zdiff 2 a b withscores", "*2|$1|a|$1|1|"),
                ("zdiff 3 a b b", "*1|$1|a|"),
                ("zdiff 1 a", "*3|$1|a|$1|b|$1|c|"),
                ("zdiff 2 a a", "*0|"),
                ("zdiff 2 nothing a", "*0|"),
                ("zintercard 2 a b", ":2|"),
                ("zintercard 2 a b limit 1", ":1|"),
                ("zintercard 2 a b limit 0", ":2|"),
                ("zunionstore c 2 a b", ":4|"),
                ("zrange c 0 -1", "*4|$1|a|$1|b|$1|d|$1|c|"),
                ("zinterstore a 2 a b weights 1 0", ":2|"),
                ("zrange a 0 -1 withscores", "*4|$1|b|$1|2|$1|c|$1|3|"),
                ("zdiffstore b 2 b a", ":1|"),
                ("zrange b 0 -1 withscores", "*2|$1|d|$1|3|"),
                ("zdiffstore b 2 b b", ":0|"),
                ("zcard b", ":0|"),
                ("zdiffstore b 2 b b", ":0|"),
            ] {
                assert_eq!(bench.run(line), reply, "{line}");
            }
        }
    }

    #[test]
    fn events_of_storing() {
        let mut bench = bench(true);
        bench.run("zunionstore c 1 a");
        assert_eq!(bench.heard, ["new c", "ready c", "zunionstore c"]);
        bench.run("zinterstore c 2 a b");
        assert_eq!(bench.heard, ["ready c", "zinterstore c"]);
        bench.run("zdiffstore c 2 a a");
        assert_eq!(bench.heard, ["del c"]);
        bench.run("zdiffstore c 2 a a");
        assert!(bench.heard.is_empty());
    }

    #[test]
    fn infinities_cancel_out_to_zero() {
        let mut bench = Bench::new();
        bench.run("zadd a inf x");
        bench.run("zadd b -inf x");
        assert_eq!(bench.run("zunion 2 a b withscores"), "*2|$1|x|$1|0|");
        assert_eq!(bench.run("zinter 2 a b withscores"), "*2|$1|x|$1|0|");
        assert_eq!(bench.run("zunion 1 a weights 0 withscores"), "*2|$1|x|$1|0|");
        assert_eq!(bench.run("zinter 1 a weights 0 withscores"), "*2|$1|x|$1|0|");
    }

    #[test]
    fn plain_sets_score_one() {
        use crate::Collection;
        use haypile_store::keys::spread;
        use haypile_store::row::Kind;
        for apply in [true, false] {
            let mut bench = bench(apply);
            bench.write(|cx| {
                let mut set: Collection = cx.new_collection(b"s", Kind::Set, None);
                for member in ["c", "e"] {
                    let key = [&spread(member.as_bytes()).to_be_bytes(), member.as_bytes()].concat();
                    cx.put_element(&mut set, &key, &[]).unwrap();
                    set.size += 1;
                }
                cx.put_collection(b"s", &mut set).unwrap();
            });
            assert_eq!(bench.run("zunion 2 s s withscores"), "*4|$1|c|$1|2|$1|e|$1|2|");
            assert_eq!(bench.run("zinter 2 s a withscores"), "*2|$1|c|$1|4|");
            assert_eq!(bench.run("zdiff 2 a s"), "*2|$1|a|$1|b|");
            assert_eq!(bench.run("zdiff 2 s a withscores"), "*2|$1|e|$1|1|");
            assert_eq!(bench.run("zinterstore s 2 s a weights 5 1"), ":1|");
            assert_eq!(bench.run("zscore s c"), "$1|8|");
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
            bench.write(|cx| cx.put_string(b"t", None, b"x", None).unwrap());
            assert_eq!(bench.run("zunion 2 a t syntax"), wrong);
            assert_eq!(bench.run("zadd t 1 a"), wrong);
            assert_eq!(bench.run("zunionstore t 1 a"), ":3|");
            assert_eq!(bench.run("zcard t"), ":3|");
        }
    }

    #[test]
    fn replies_in_resp3_are_pairs() {
        let mut bench = bench(true);
        bench.version = Version::Resp3;
        assert_eq!(bench.run("zdiff 2 a b withscores"), "*1|*2|$1|a|,1|");
        assert_eq!(bench.run("zdiff 2 a b"), "*1|$1|a|");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let mut bench = bench(true);
        for (line, text) in [
            ("zunion 0 a", "ERR at least 1 input key is needed for 'zunion' command"),
            (
                "ZINTERSTORE c 0 a",
                "ERR at least 1 input key is needed for 'zinterstore' command",
            ),
            ("zunion x a", "ERR value is not an integer or out of range"),
            ("zunion 3 a b", "ERR syntax error"),
            ("zunion 2 a b weights 1", "ERR syntax error"),
            ("zunion 2 a b weights 1 x", "ERR weight value is not a float"),
            ("zunion 2 a b aggregate", "ERR syntax error"),
            ("zunion 2 a b aggregate avg", "ERR syntax error"),
            ("zunionstore c 2 a b withscores", "ERR syntax error"),
            ("zdiff 2 a b weights 1 2", "ERR syntax error"),
            ("zintercard 2 a b withscores", "ERR syntax error"),
            ("zintercard 2 a b limit -1", "ERR LIMIT can't be negative"),
            ("zintercard 2 a b limit x", "ERR LIMIT can't be negative"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }
}
