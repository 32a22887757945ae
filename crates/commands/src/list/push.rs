//! LPUSH, RPUSH, LPUSHX and RPUSHX.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::{End, push};
use crate::spec::WRITE_FAST;
use crate::{Cx, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec};

const COMPLEXITY: &str = "O(1) for each element added, so O(N) to add N elements when the command is called with \
    multiple arguments.";

pub(super) const LPUSH: Spec = Spec {
    name: "lpush",
    summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
    since: "1.0.0",
    group: Group::List,
    complexity: COMPLEXITY,
    arity: -3,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::INSERT,
    syntax: "key element [element ...]",
    handler: Handler::Data(|cx, request| push_elements(cx, request, End::Left, true)),
    ..SPEC
};

pub(super) const RPUSH: Spec = Spec {
    name: "rpush",
    summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
    access: KeyAccess::INSERT,
    handler: Handler::Data(|cx, request| push_elements(cx, request, End::Right, true)),
    ..LPUSH
};

pub(super) const LPUSHX: Spec = Spec {
    name: "lpushx",
    summary: "Prepends one or more elements to a list only when the list exists.",
    since: "2.2.0",
    access: KeyAccess::INSERT,
    handler: Handler::Data(|cx, request| push_elements(cx, request, End::Left, false)),
    ..LPUSH
};

pub(super) const RPUSHX: Spec = Spec {
    name: "rpushx",
    summary: "Appends one or more elements to a list only when the list exists.",
    since: "2.2.0",
    access: KeyAccess::INSERT,
    handler: Handler::Data(|cx, request| push_elements(cx, request, End::Right, false)),
    ..LPUSH
};

fn push_elements(cx: &mut Cx<'_>, request: &Request, end: End, create: bool) -> Outcome {
    let key = &request[1];
    let mut list = match cx.collection(key, Kind::List)? {
        Some(list) => list,
        None if create => cx.new_collection(key, Kind::List, None),
        None => {
            cx.reply.integer(0);
            return Ok(());
        }
    };
    push(cx, &mut list, end, request.iter().skip(2))?;
    cx.put_collection(key, &mut list)?;
    cx.modified(end.push_event(), key);
    cx.reply.integer(list.size as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn elements_are_added_one_after_the_other() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("lpush k a b"), ":2|");
        assert_eq!(bench.heard, ["new k", "ready k", "lpush k"]);
        assert_eq!(bench.run("rpush k c d"), ":4|");
        assert_eq!(bench.heard, ["ready k", "rpush k"]);
        assert_eq!(bench.run("lrange k 0 -1"), "*4|$1|b|$1|a|$1|c|$1|d|");
        assert_eq!(bench.run("lpushx k e"), ":5|");
        assert_eq!(bench.run("rpushx k f g"), ":7|");
        assert_eq!(bench.run("lrange k 0 -1"), "*7|$1|e|$1|b|$1|a|$1|c|$1|d|$1|f|$1|g|");
    }

    #[test]
    fn the_x_forms_do_not_create() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("lpushx k a"), ":0|");
        assert_eq!(bench.run("rpushx k a b"), ":0|");
        assert!(bench.heard.is_empty());
        assert_eq!(bench.run("llen k"), ":0|");
        assert_eq!(
            bench.run("lpush k"),
            "-ERR wrong number of arguments for 'lpush' command|"
        );
    }

    #[test]
    fn elements_are_any_bytes() {
        let mut bench = Bench::new();
        bench.run_args(&[&b"rpush"[..], b"", b"", b"\x00\xff", &[b'x'; 70_000]]);
        let mut expected = b"*3\r\n$0\r\n\r\n$2\r\n\x00\xff\r\n$70000\r\n".to_vec();
        expected.extend_from_slice(&[b'x'; 70_000]);
        expected.extend_from_slice(b"\r\n");
        let request = haypile_resp::Request::from_args(["lrange", "", "0", "-1"]);
        assert_eq!(bench.raw(&request), expected);
    }
}
