//! ZCARD, ZSCORE and ZMSCORE.

use haypile_resp::Request;
use haypile_store::packed::PackedZset;
use haypile_store::row::Kind;

use super::layout::{score_from, score_of};
use crate::cx::Found;
use crate::spec::READ_FAST;
use crate::{CommandError, Cx, Group, Handler, KeyAccess, Keys, Named, Outcome, SPEC, Spec};

pub(super) const ZCARD: Spec = Spec {
    name: "zcard",
    summary: "Returns the number of members of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    access: KeyAccess::LOOK,
    syntax: "key",
    handler: Handler::Data(zcard),
    ..SPEC
};

pub(super) const ZSCORE: Spec = Spec {
    name: "zscore",
    summary: "Returns the score of a member of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    complexity: "O(1)",
    arity: 3,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key member",
    named: Named::one(2),
    handler: Handler::Data(zscore),
    ..SPEC
};

pub(super) const ZMSCORE: Spec = Spec {
    name: "zmscore",
    summary: "Returns the scores of members of a sorted set.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N) where N is the number of members being requested.",
    arity: -3,
    // Redis calls it fast. Here that would mean no snapshot, and scores that were never there at one time.
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key member [member ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(zmscore),
    ..SPEC
};

fn zcard(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let size = cx.find(&request[1], Kind::Zset)?.map_or(Ok(0), |zset| zset.size())?;
    cx.reply.integer(size as i64);
    Ok(())
}

fn zscore(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let zset = cx.find(&request[1], Kind::Zset)?;
    let score = score(cx, zset.as_ref(), &request[2])?;
    reply_score(cx, score);
    Ok(())
}

fn zmscore(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let zset = cx.find(&request[1], Kind::Zset)?;
    cx.reply.array(request.len() - 2);
    for member in request.iter().skip(2) {
        let score = score(cx, zset.as_ref(), member)?;
        reply_score(cx, score);
    }
    Ok(())
}

fn score(cx: &Cx<'_>, zset: Option<&Found<'_>>, member: &[u8]) -> Result<Option<f64>, CommandError> {
    match zset {
        None => Ok(None),
        Some(Found::Packed(row)) => Ok(PackedZset::read(row.body())?.score(member)?.map(score_from)),
        Some(Found::Spread(zset)) => score_of(cx, zset, member),
    }
}

fn reply_score(cx: &mut Cx<'_>, score: Option<f64>) {
    match score {
        Some(score) => cx.reply.double(score),
        None => cx.reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn scores_are_found_by_member() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("zadd z 1.5 a -inf b");
            assert_eq!(bench.run("zscore z a"), "$3|1.5|");
            assert_eq!(bench.run("zscore z c"), "$-1|");
            assert_eq!(bench.run("zscore nothing c"), "$-1|");
            assert_eq!(bench.run("zmscore z b c a"), "*3|$4|-inf|$-1|$3|1.5|");
            assert_eq!(bench.run("zmscore nothing b"), "*1|$-1|");
            assert_eq!(bench.run("zcard z"), ":2|");
            assert_eq!(bench.run("zcard nothing"), ":0|");
            bench.version = Version::Resp3;
            assert_eq!(bench.run("zscore z a"), ",1.5|");
            assert_eq!(bench.run("zmscore z b c"), "*2|,-inf|_|");
        }
    }
}
