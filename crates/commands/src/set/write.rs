//! SADD, SREM and SMOVE.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::Name;
use crate::spec::{REMOVE_FAST, WRITE_FAST};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Named, Outcome, SPEC, Spec};

pub(super) const SADD: Spec = Spec {
    name: "sadd",
    summary: "Adds members to a set, and creates the set if it does not exist.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    arity: -3,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::INSERT,
    syntax: "key member [member ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(sadd),
    ..SPEC
};

pub(super) const SREM: Spec = Spec {
    name: "srem",
    summary: "Removes members from a set, and the set with its last member.",
    complexity: "O(N) where N is the number of members to be removed.",
    flags: REMOVE_FAST,
    access: KeyAccess::DELETE,
    named: Named::each(2, 1),
    handler: Handler::Data(srem),
    ..SADD
};

pub(super) const SMOVE: Spec = Spec {
    name: "smove",
    summary: "Moves a member from one set to another.",
    complexity: "O(1)",
    arity: 4,
    flags: REMOVE_FAST,
    keys: Keys::TWO,
    access: KeyAccess::MOVE,
    syntax: "source destination member",
    named: Named::NONE,
    handler: Handler::Data(smove),
    ..SADD
};

fn sadd(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let mut set = cx.collection_or_new(key, Kind::Set)?;
    // What has just been created has no members; only the request's own may come twice.
    let surely_new = set.old.is_none() && request.len() == 3;
    let mut name = Name::default();
    let mut added = 0;
    for member in request.iter().skip(2) {
        let element = name.of(member);
        if surely_new || !cx.has_element(&set, element)? {
            cx.put_element(&mut set, element, &[])?;
            added += 1;
        }
    }
    if added > 0 {
        set.size += added;
        cx.put_collection(key, &mut set)?;
        cx.modified(KeyEvent::SAdd, key);
    }
    cx.reply.integer(added as i64);
    Ok(())
}

fn srem(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let Some(mut set) = cx.collection(key, Kind::Set)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let mut name = Name::default();
    let mut removed = 0;
    for member in request.iter().skip(2) {
        let element = name.of(member);
        if cx.has_element(&set, element)? {
            cx.delete_element(&mut set, element)?;
            removed += 1;
            set.size -= 1;
            if set.size == 0 {
                break;
            }
        }
    }
    if removed > 0 {
        cx.put_collection(key, &mut set)?;
        cx.modified(KeyEvent::SRem, key);
        if set.size == 0 {
            cx.event(KeyEvent::Del, key);
        }
    }
    cx.reply.integer(removed);
    Ok(())
}

fn smove(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (from, to, member) = (&request[1], &request[2], &request[3]);
    let source = match cx.collection(from, Kind::Set) {
        Ok(None) => {
            cx.reply.integer(0);
            return Ok(());
        }
        // A read that has to wait for the disk is no type: what the destination is must not hide it.
        Err(CommandError::Store(error)) => return Err(error.into()),
        source => source,
    };
    let destination = cx.collection(to, Kind::Set)?;
    // It has been seen above that there is one.
    let Some(mut source) = source? else { return Ok(()) };
    let mut name = Name::default();
    let element = name.of(member);
    let is_member = cx.has_element(&source, element)?;
    if from == to || !is_member {
        cx.reply.integer(is_member.into());
        return Ok(());
    }
    cx.delete_element(&mut source, element)?;
    source.size -= 1;
    cx.put_collection(from, &mut source)?;
    cx.modified(KeyEvent::SRem, from);
    if source.size == 0 {
        cx.event(KeyEvent::Del, from);
    }
    let mut destination = match destination {
        Some(destination) => destination,
        None => cx.new_collection(to, Kind::Set, None),
    };
    if destination.old.is_none() || !cx.has_element(&destination, element)? {
        cx.put_element(&mut destination, element, &[])?;
        destination.size += 1;
        cx.put_collection(to, &mut destination)?;
        cx.modified(KeyEvent::SAdd, to);
    }
    cx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn members_are_added_and_removed() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("sadd s a b a"), ":2|");
            assert_eq!(bench.heard, ["new s", "sadd s"]);
            assert_eq!(bench.run("sadd s b"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("sadd s b c"), ":1|");
            assert_eq!(bench.run("scard s"), ":3|");
            assert_eq!(bench.run("srem s x y"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("srem s a a"), ":1|");
            assert_eq!(bench.heard, ["srem s"]);
            assert_eq!(bench.run("srem s b c d"), ":2|");
            assert_eq!(bench.heard, ["srem s", "del s"]);
            assert_eq!(bench.run("scard s"), ":0|");
            assert_eq!(bench.run("srem s a"), ":0|");
            assert_eq!(bench.run("sadd s z"), ":1|");
            assert_eq!(bench.run("smembers s"), "*1|$1|z|");
        }
    }

    #[test]
    fn members_move() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("sadd a 1 2");
            bench.run("sadd b 2 3");
            assert_eq!(bench.run("smove none a 1"), ":0|");
            assert_eq!(bench.run("smove a b x"), ":0|");
            assert_eq!(bench.run("smove a a 1"), ":1|");
            assert_eq!(bench.run("smove a a x"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("smove a b 2"), ":1|");
            assert_eq!(bench.heard, ["srem a"]);
            assert_eq!(bench.run("smove a c 1"), ":1|");
            assert_eq!(bench.heard, ["srem a", "del a", "new c", "sadd c"]);
            assert_eq!(bench.run("scard a"), ":0|");
            assert_eq!(bench.run("scard b"), ":2|");
            assert_eq!(bench.run("smembers c"), "*1|$1|1|");
        }
    }

    #[test]
    fn keys_of_another_type() {
        let mut bench = Bench::new();
        bench.run("hset h f v");
        bench.run("sadd s a");
        for command in [
            "sadd h a",
            "srem h a",
            "sismember h a",
            "smismember h a",
            "scard h",
            "smembers h",
            "spop h",
            "spop h 1",
            "srandmember h",
            "srandmember h 1",
            "sscan h 0",
            "smove h s a",
            "smove s h a",
            "sinter s h",
            "sinter none h",
            "sintercard 2 none h",
            "sunion s h",
            "sdiff none h",
            "sinterstore x none h",
            "sunionstore x s h",
            "sdiffstore x none h",
        ] {
            assert!(bench.run(command).starts_with("-WRONGTYPE"), "{command}");
        }
        assert_eq!(bench.run("smove none h a"), ":0|");
    }
}
