//! HGET, HMGET, HEXISTS, HSTRLEN and HLEN: single fields.

use haypile_resp::Request;
use haypile_store::packed::PackedHash;
use haypile_store::row::Kind;

use crate::cx::Found;
use crate::spec::READ_FAST;
use crate::{CommandError, Cx, Group, Handler, KeyAccess, Keys, Named, Outcome, SPEC, Spec};

pub(super) const HGET: Spec = Spec {
    name: "hget",
    summary: "Returns the value of a field in a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(1)",
    arity: 3,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key field",
    named: Named::one(2),
    handler: Handler::Data(hget),
    ..SPEC
};

/// Redis calls it fast; without that flag it reads from a snapshot, and so sees all or nothing of an HSET.
pub(super) const HMGET: Spec = Spec {
    name: "hmget",
    summary: "Returns the values of fields in a hash.",
    complexity: "O(N) where N is the number of fields being requested.",
    arity: -3,
    flags: READ_FAST,
    syntax: "key field [field ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(hmget),
    ..HGET
};

pub(super) const HEXISTS: Spec = Spec {
    name: "hexists",
    summary: "Says whether a field exists in a hash.",
    access: KeyAccess::LOOK,
    named: Named::one(2),
    handler: Handler::Data(hexists),
    ..HGET
};

pub(super) const HLEN: Spec = Spec {
    name: "hlen",
    summary: "Returns the number of fields in a hash.",
    arity: 2,
    access: KeyAccess::LOOK,
    syntax: "key",
    named: Named::NONE,
    handler: Handler::Data(hlen),
    ..HGET
};

pub(super) const HSTRLEN: Spec = Spec {
    name: "hstrlen",
    summary: "Returns the length of the value of a field in a hash.",
    since: "3.2.0",
    access: KeyAccess::LOOK,
    named: Named::one(2),
    handler: Handler::Data(hstrlen),
    ..HGET
};

fn hget(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    with_value(cx, request, |cx, value| match value {
        Some(value) => cx.reply.bulk(value),
        None => cx.reply.null(),
    })
}

fn hexists(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    with_value(cx, request, |cx, value| {
        cx.reply.integer(i64::from(value.is_some()));
    })
}

fn hstrlen(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    with_value(cx, request, |cx, value| {
        cx.reply.integer(value.map_or(0, |value| value.len() as i64));
    })
}

/// Reads the field of `key field`.
fn with_value(
    cx: &mut Cx<'_>,
    request: &Request,
    reply: impl FnOnce(&mut Cx<'_>, Option<&[u8]>),
) -> Result<(), CommandError> {
    match cx.find(&request[1], Kind::Hash)? {
        None => reply(cx, None),
        Some(Found::Packed(row)) => reply(cx, PackedHash::read(row.body())?.get(&request[2])?),
        Some(Found::Spread(hash)) => {
            let value = cx.element(&hash, &request[2])?;
            reply(cx, value.as_deref());
        }
    }
    Ok(())
}

fn hmget(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let hash = cx.find(&request[1], Kind::Hash)?;
    cx.reply.array(request.len() - 2);
    if let Some(Found::Packed(row)) = &hash {
        let hash = PackedHash::read(row.body())?;
        for field in request.iter().skip(2) {
            match hash.get(field)? {
                Some(value) => cx.reply.bulk(value),
                None => cx.reply.null(),
            }
        }
        return Ok(());
    }
    for field in request.iter().skip(2) {
        let value = match &hash {
            Some(Found::Spread(hash)) => cx.element(hash, field)?,
            _ => None,
        };
        match value {
            Some(value) => cx.reply.bulk(&value),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn hlen(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let size = cx.find(&request[1], Kind::Hash)?.map_or(Ok(0), |hash| hash.size())?;
    cx.reply.integer(size as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use haypile_resp::Version;

    #[test]
    fn fields_are_read() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run_args(&["hset", "h", "a", "one", "", "", "c", "3"]);
            assert_eq!(bench.run("hget h a"), "$3|one|");
            assert_eq!(bench.run("hget h "), "$0||");
            assert_eq!(bench.run("hget h x"), "$-1|");
            assert_eq!(bench.run("hmget h c x a c"), "*4|$1|3|$-1|$3|one|$1|3|");
            assert_eq!(bench.run("hexists h a"), ":1|");
            assert_eq!(bench.run("hexists h x"), ":0|");
            assert_eq!(bench.run("hstrlen h a"), ":3|");
            assert_eq!(bench.run("hstrlen h x"), ":0|");
            assert_eq!(bench.run("hlen h"), ":3|");
            bench.version = Version::Resp3;
            assert_eq!(bench.run("hget h x"), "_|");
            assert_eq!(bench.run("hmget h x a"), "*2|_|$3|one|");
        }
    }

    #[test]
    fn a_key_that_is_missing_or_of_another_type() {
        let mut bench = Bench::new();
        for (command, reply) in [
            ("hget h a", "$-1|"),
            ("hmget h a b", "*2|$-1|$-1|"),
            ("hexists h a", ":0|"),
            ("hlen h", ":0|"),
            ("hstrlen h a", ":0|"),
        ] {
            assert_eq!(bench.run(command), reply);
        }
        bench.run("sadd h x");
        for command in [
            "hget h a",
            "hmget h a",
            "hexists h a",
            "hlen h",
            "hstrlen h a",
            "hset h a 1",
            "hsetnx h a 1",
            "hdel h a",
            "hgetall h",
            "hincrby h a 1",
            "hincrbyfloat h a 1",
            "hrandfield h",
            "hscan h 0",
            "hrangebylex h - +",
        ] {
            assert!(bench.run(command).starts_with("-WRONGTYPE"), "{command}");
        }
    }
}
