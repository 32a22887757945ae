//! HGETALL, HKEYS and HVALS: a whole hash at once.

use haypile_resp::{Reply, Request};
use haypile_store::Direction;
use haypile_store::packed::PackedHash;
use haypile_store::row::Kind;

use crate::cx::Found;
use crate::sample::missing;
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const HGETALL: Spec = Spec {
    name: "hgetall",
    summary: "Returns all fields of a hash with their values.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) where N is the size of the hash.",
    arity: 2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key",
    handler: Handler::Data(hgetall),
    ..SPEC
};

pub(super) const HKEYS: Spec = Spec {
    name: "hkeys",
    summary: "Returns all fields of a hash.",
    handler: Handler::Data(hkeys),
    ..HGETALL
};

pub(super) const HVALS: Spec = Spec {
    name: "hvals",
    summary: "Returns the values of all fields of a hash.",
    handler: Handler::Data(hvals),
    ..HGETALL
};

fn hgetall(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    read_all(cx, request, Reply::map, |reply, field, value| {
        reply.bulk(field);
        reply.bulk(value);
    })
}

fn hkeys(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    read_all(cx, request, Reply::array, |reply, field, _| reply.bulk(field))
}

fn hvals(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    read_all(cx, request, Reply::array, |reply, _, value| reply.bulk(value))
}

fn read_all(
    cx: &mut Cx<'_>,
    request: &Request,
    header: fn(&mut Reply, usize),
    mut each: impl FnMut(&mut Reply, &[u8], &[u8]),
) -> Outcome {
    match cx.find(&request[1], Kind::Hash)? {
        None => header(cx.reply, 0),
        Some(Found::Packed(row)) => {
            let hash = PackedHash::read(row.body())?;
            header(cx.reply, hash.len());
            for entry in hash.iter() {
                let (field, value) = entry?;
                each(cx.reply, field, value);
            }
        }
        Some(Found::Spread(hash)) => {
            header(cx.reply, hash.size as usize);
            every(cx, &hash, each)?;
        }
    }
    Ok(())
}

/// Writes every field; an error if there are not as many as the row says, because that number has been written before.
pub(super) fn every(
    cx: &mut Cx<'_>,
    hash: &Collection,
    mut each: impl FnMut(&mut Reply, &[u8], &[u8]),
) -> Result<(), CommandError> {
    let (mut scan, reply) = cx.scan_and_reply(hash, &[], None, Direction::Forward)?;
    let mut left = hash.size;
    while let Some((field, value)) = scan.next()? {
        left = left.checked_sub(1).ok_or_else(missing)?;
        each(reply, field, value);
    }
    if left == 0 { Ok(()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use haypile_resp::Version;

    #[test]
    fn everything_in_order_of_the_fields() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("hset h b 2 a 1 c 3");
            bench.run("hset ha x y");
            assert_eq!(bench.run("hgetall h"), "*6|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|");
            assert_eq!(bench.run("hkeys h"), "*3|$1|a|$1|b|$1|c|");
            assert_eq!(bench.run("hvals h"), "*3|$1|1|$1|2|$1|3|");
            bench.version = Version::Resp3;
            assert_eq!(bench.run("hgetall h"), "%3|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|");
            assert_eq!(bench.run("hkeys h"), "*3|$1|a|$1|b|$1|c|");
        }
    }

    #[test]
    fn of_a_missing_key_there_is_nothing() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("hgetall h"), "*0|");
        assert_eq!(bench.run("hkeys h"), "*0|");
        assert_eq!(bench.run("hvals h"), "*0|");
        bench.version = Version::Resp3;
        assert_eq!(bench.run("hgetall h"), "%0|");
    }
}
