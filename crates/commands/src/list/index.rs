//! LLEN, LINDEX and LSET: elements by their positions.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::element;
use crate::error::{NO_SUCH_KEY, OUT_OF_RANGE};
use crate::spec::{READ, READ_FAST, WRITE};
use crate::{Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec, args};

pub(super) const LLEN: Spec = Spec {
    name: "llen",
    summary: "Returns the length of a list.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    access: KeyAccess::LOOK,
    syntax: "key",
    handler: Handler::Data(llen),
    ..SPEC
};

pub(super) const LINDEX: Spec = Spec {
    name: "lindex",
    summary: "Returns an element from a list by its index.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 3,
    // Not fast: the row and the element have to be of one state, so it needs the snapshot.
    flags: READ,
    keys: Keys::ONE,
    syntax: "key index",
    handler: Handler::Data(lindex),
    ..SPEC
};

pub(super) const LSET: Spec = Spec {
    name: "lset",
    summary: "Sets the value of an element in a list by its index.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE,
    keys: Keys::ONE,
    syntax: "key index element",
    handler: Handler::Data(lset),
    ..SPEC
};

fn llen(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let size = cx.find(&request[1], Kind::List)?.map_or(Ok(0), |list| list.size())?;
    cx.reply.integer(size as i64);
    Ok(())
}

fn lindex(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let Some(list) = cx.collection(&request[1], Kind::List)? else {
        cx.reply.null();
        return Ok(());
    };
    match resolve(&list, &request[2])? {
        Some(index) => {
            let value = element::read(cx, &list, index)?;
            cx.reply.bulk(&value);
        }
        None => cx.reply.null(),
    }
    Ok(())
}

fn lset(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let mut list = cx.collection(key, Kind::List)?.ok_or(NO_SUCH_KEY)?;
    let index = resolve(&list, &request[2])?.ok_or(OUT_OF_RANGE)?;
    cx.put_element(&mut list, &index.to_be_bytes(), &request[3])?;
    cx.put_collection(key, &mut list)?;
    cx.modified(KeyEvent::LSet, key);
    cx.reply.ok();
    Ok(())
}

/// The index of the element at a position, which counts from the end if it is negative; `None` if there is none.
fn resolve(list: &Collection, position: &[u8]) -> Result<Option<u64>, CommandError> {
    let position = args::integer(position)?;
    let from_head = match u64::try_from(position) {
        Ok(position) => Some(position).filter(|&p| p < list.size),
        Err(_) => list.size.checked_sub(position.unsigned_abs()),
    };
    Ok(from_head.and_then(|p| list.head.checked_add(p)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn positions_count_from_both_ends() {
        let mut bench = Bench::new();
        bench.run("rpush k a b c");
        for (position, expected) in [
            ("0", "$1|a|"),
            ("2", "$1|c|"),
            ("3", "$-1|"),
            ("-1", "$1|c|"),
            ("-3", "$1|a|"),
            ("-4", "$-1|"),
            ("9223372036854775807", "$-1|"),
            ("-9223372036854775808", "$-1|"),
            ("x", "-ERR value is not an integer or out of range|"),
        ] {
            assert_eq!(bench.run(&format!("lindex k {position}")), expected, "{position}");
        }
        assert_eq!(bench.run("lindex nothing x"), "$-1|");
        assert_eq!(bench.run("llen k"), ":3|");
        assert_eq!(bench.run("llen nothing"), ":0|");
    }

    #[test]
    fn lset_replaces_what_is_there() {
        let mut bench = Bench::new();
        bench.run("rpush k a b c");
        assert_eq!(bench.run("lset k 1 x"), "+OK|");
        assert_eq!(bench.heard, ["lset k"]);
        assert_eq!(bench.run("lset k -1 y"), "+OK|");
        assert_eq!(bench.run("lrange k 0 -1"), "*3|$1|a|$1|x|$1|y|");
        assert_eq!(bench.run("lset k 3 z"), "-ERR index out of range|");
        assert_eq!(bench.run("lset k -4 z"), "-ERR index out of range|");
        assert_eq!(bench.run("lset k z z"), "-ERR value is not an integer or out of range|");
        assert_eq!(bench.run("lset nothing z z"), "-ERR no such key|");
    }
}
