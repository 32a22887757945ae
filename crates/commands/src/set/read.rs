//! SISMEMBER, SMISMEMBER, SCARD and SMEMBERS.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::packed::PackedSet;
use haypile_store::row::Kind;

use super::{Name, member};
use crate::cx::Found;
use crate::sample::missing;
use crate::spec::{READ, READ_FAST};
use crate::{Collection, CommandError, Cx, Group, Handler, KeyAccess, Keys, Named, Outcome, SPEC, Spec};

pub(super) const SISMEMBER: Spec = Spec {
    name: "sismember",
    summary: "Says whether a member is in a set.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(1)",
    arity: 3,
    flags: READ_FAST,
    keys: Keys::ONE,
    access: KeyAccess::LOOK,
    syntax: "key member",
    named: Named::one(2),
    handler: Handler::Data(sismember),
    ..SPEC
};

/// Redis calls it fast; without that flag it reads from a snapshot, and so sees all or nothing of an SADD.
pub(super) const SMISMEMBER: Spec = Spec {
    name: "smismember",
    summary: "Says of each of several members whether it is in a set.",
    since: "6.2.0",
    complexity: "O(N) where N is the number of elements being checked for membership.",
    arity: -3,
    flags: READ_FAST,
    access: KeyAccess::ByFlags,
    syntax: "key member [member ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(smismember),
    ..SISMEMBER
};

pub(super) const SCARD: Spec = Spec {
    name: "scard",
    summary: "Returns the number of members of a set.",
    arity: 2,
    access: KeyAccess::LOOK,
    syntax: "key",
    named: Named::NONE,
    handler: Handler::Data(scard),
    ..SISMEMBER
};

pub(super) const SMEMBERS: Spec = Spec {
    name: "smembers",
    summary: "Returns all members of a set.",
    complexity: "O(N) where N is the set cardinality.",
    arity: 2,
    flags: READ,
    access: KeyAccess::ByFlags,
    syntax: "key",
    named: Named::NONE,
    handler: Handler::Data(smembers),
    ..SISMEMBER
};

fn sismember(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let is_member = match cx.find(&request[1], Kind::Set)? {
        Some(Found::Packed(row)) => PackedSet::read(row.body())?.contains(&request[2])?,
        Some(Found::Spread(set)) => cx.has_element(&set, Name::default().of(&request[2]))?,
        None => false,
    };
    cx.reply.integer(is_member.into());
    Ok(())
}

fn smismember(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let set = cx.find(&request[1], Kind::Set)?;
    cx.reply.array(request.len() - 2);
    let mut name = Name::default();
    for member in request.iter().skip(2) {
        let is_member = match &set {
            Some(Found::Packed(row)) => PackedSet::read(row.body())?.contains(member)?,
            Some(Found::Spread(set)) => cx.has_element(set, name.of(member))?,
            None => false,
        };
        cx.reply.integer(is_member.into());
    }
    Ok(())
}

fn scard(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let size = cx.find(&request[1], Kind::Set)?.map_or(Ok(0), |set| set.size())?;
    cx.reply.integer(size as i64);
    Ok(())
}

fn smembers(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    match cx.find(&request[1], Kind::Set)? {
        None => cx.reply.set(0),
        Some(Found::Packed(row)) => {
            let set = PackedSet::read(row.body())?;
            cx.reply.set(set.len());
            for member in set.iter() {
                cx.reply.bulk(member?);
            }
        }
        Some(Found::Spread(set)) => {
            cx.reply.set(set.size as usize);
            every(cx, &set)?;
        }
    }
    Ok(())
}

/// Writes every member; an error if there are not as many as the row says, because that number has been written before.
pub(super) fn every(cx: &mut Cx<'_>, set: &Collection) -> Result<(), CommandError> {
    let (mut scan, reply) = cx.scan_and_reply(set, &[], None, Direction::Forward)?;
    let mut left = set.size;
    while let Some((key, _)) = scan.next()? {
        left = left.checked_sub(1).ok_or_else(missing)?;
        reply.bulk(member(key));
    }
    if left == 0 { Ok(()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use haypile_resp::Version;

    #[test]
    fn members_are_found() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run_args(&["sadd", "s", "a", "", "c"]);
            assert_eq!(bench.run("sismember s a"), ":1|");
            assert_eq!(bench.run("sismember s "), ":1|");
            assert_eq!(bench.run("sismember s x"), ":0|");
            assert_eq!(bench.run("smismember s x a c"), "*3|:0|:1|:1|");
            assert_eq!(bench.run("scard s"), ":3|");
            let reply = bench.run("smembers s");
            let mut parts: Vec<&str> = reply.split('|').skip(2).step_by(2).collect();
            parts.sort_unstable();
            assert_eq!((&reply[..3], parts), ("*3|", vec!["", "a", "c"]));
            bench.version = Version::Resp3;
            assert!(bench.run("smembers s").starts_with("~3|"));
            assert_eq!(bench.run("sismember s a"), ":1|");
        }
    }

    #[test]
    fn a_missing_key_is_an_empty_set() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("sismember s a"), ":0|");
        assert_eq!(bench.run("smismember s a b"), "*2|:0|:0|");
        assert_eq!(bench.run("scard s"), ":0|");
        assert_eq!(bench.run("smembers s"), "*0|");
        bench.version = Version::Resp3;
        assert_eq!(bench.run("smembers s"), "~0|");
    }
}
