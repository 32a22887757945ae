//! DEL and UNLINK: the same thing here, as no deletion has to wait for its elements.

use haypile_resp::Request;

use crate::spec::{REMOVE, REMOVE_FAST};
use crate::{Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const DEL: Spec = Spec {
    name: "del",
    summary: "Deletes one or more keys.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(N) where N is the number of keys, whatever their types and sizes",
    arity: -2,
    flags: REMOVE,
    keys: Keys::ALL,
    access: KeyAccess::REMOVE,
    syntax: "key [key ...]",
    handler: Handler::Data(delete),
    ..SPEC
};

pub(super) const UNLINK: Spec = Spec {
    name: "unlink",
    summary: "Deletes one or more keys; their memory is freed in the background.",
    since: "4.0.0",
    flags: REMOVE_FAST,
    access: KeyAccess::REMOVE,
    ..DEL
};

fn delete(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut deleted = 0;
    for key in request.iter().skip(1) {
        if let Some(row) = cx.row(key)? {
            cx.delete(key, row.header)?;
            cx.modified(KeyEvent::Del, key);
            deleted += 1;
        }
    }
    cx.reply.integer(deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn deletes_each_key_once_whatever_its_type() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.string("a", "1");
            bench.collection("b", Kind::List, 3);
            assert_eq!(bench.run("del a b a nothing"), ":2|");
            assert_eq!(bench.heard, ["del a", "del b"]);
            assert_eq!(bench.run("exists a b"), ":0|");
            assert_eq!(bench.run("dbsize"), ":0|");
            assert_eq!(bench.run("unlink a"), ":0|");
            assert_eq!(bench.heard, Vec::<String>::new());
            bench.string("a", "1");
            assert_eq!(bench.run("unlink a"), ":1|");
            assert_eq!(bench.heard, ["del a"]);
        }
    }

    #[test]
    fn a_key_whose_time_is_over_expires_and_is_not_deleted() {
        let mut bench = Bench::new();
        bench.string("a", "1");
        bench.run("pexpire a 5");
        bench.now += 5;
        assert_eq!(bench.run("del a"), ":0|");
        assert_eq!(bench.heard, ["expired a"]);
        assert_eq!(bench.run("dbsize"), ":0|");
    }
}
