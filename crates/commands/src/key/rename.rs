//! RENAME and RENAMENX.

use crate::error::NO_SUCH_KEY;
use crate::spec::{REMOVE, REMOVE_FAST};
use crate::{Access, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, SPEC, Spec};

pub(super) const RENAME: Spec = Spec {
    name: "rename",
    summary: "Gives a key another name, in place of what has that name.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: 3,
    flags: REMOVE,
    keys: Keys::TWO,
    access: KeyAccess::FirstAndOthers(Access::TAKE, Access::OVERWRITE),
    syntax: "key newkey",
    handler: Handler::Data(|cx, request| {
        rename(cx, &request[1], &request[2], true)?;
        cx.reply.ok();
        Ok(())
    }),
    ..SPEC
};

pub(super) const RENAMENX: Spec = Spec {
    name: "renamenx",
    summary: "Gives a key another name, unless a key has that name.",
    flags: REMOVE_FAST,
    access: KeyAccess::FirstAndOthers(Access::TAKE, Access::CREATE),
    handler: Handler::Data(|cx, request| {
        let renamed = rename(cx, &request[1], &request[2], false)?;
        cx.reply.integer(i64::from(renamed));
        Ok(())
    }),
    ..RENAME
};

/// True if the key has another name now.
fn rename(cx: &mut Cx<'_>, from: &[u8], to: &[u8], replace: bool) -> Result<bool, CommandError> {
    let row = cx.row(from)?.ok_or(NO_SUCH_KEY)?;
    if from == to {
        return Ok(false);
    }
    let old = cx.row(to)?.map(|row| row.header);
    if old.is_some() && !replace {
        return Ok(false);
    }
    cx.move_row(from, to, &row, old)?;
    if old.is_some() {
        // Redis deletes the old value silently and adds a new key.
        cx.event(KeyEvent::New, to);
    }
    cx.ready(row.header.kind, to);
    cx.modified(KeyEvent::RenameFrom, from);
    cx.modified(KeyEvent::RenameTo, to);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn moves_value_and_expiry_to_the_new_name() {
        for apply in [true, false] {
            for kind in [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash] {
                let mut bench = Bench::new();
                bench.apply = apply;
                bench.value("a", kind, 3);
                bench.run("pexpire a 500");
                let digest = bench.digest_value("a");
                assert_eq!(bench.run("rename a b"), "+OK|");
                assert_eq!(bench.run("exists a"), ":0|");
                assert_eq!(bench.run("pttl b"), ":500|");
                assert_eq!(bench.digest_value("b"), digest);
                assert_eq!(bench.counts(), (1, 1));
            }
        }
    }

    #[test]
    fn replaces_what_has_the_name() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.string("a", "1");
            bench.collection("b", Kind::Hash, 2);
            bench.run("expire b 100");
            assert_eq!(bench.run("renamenx a b"), ":0|");
            assert_eq!(bench.heard, Vec::<String>::new());
            assert_eq!(bench.run("rename a b"), "+OK|");
            assert_eq!(bench.heard, ["new b", "rename_from a", "rename_to b"]);
            assert_eq!(bench.run("get b"), "$1|1|");
            assert_eq!(bench.run("ttl b"), ":-1|");
            assert_eq!(bench.counts(), (1, 0));
            bench.collection("z", Kind::Zset, 2);
            assert_eq!(bench.run("renamenx z y"), ":1|");
            assert_eq!(bench.heard, ["new y", "ready y", "rename_from z", "rename_to y"]);
            // A collection of elements that the name had before does not come back.
            assert_eq!(bench.run("rename y b"), "+OK|");
            assert_eq!(bench.elements("b"), 2);
            assert_eq!(bench.counts(), (1, 0));
        }
    }

    #[test]
    fn missing_and_same_names() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("rename a b"), "-ERR no such key|");
        assert_eq!(bench.run("rename a a"), "-ERR no such key|");
        assert_eq!(bench.run("renamenx a b"), "-ERR no such key|");
        bench.string("a", "1");
        assert_eq!(bench.run("rename a a"), "+OK|");
        assert_eq!(bench.run("renamenx a a"), ":0|");
        assert_eq!(bench.heard, Vec::<String>::new());
        bench.string("b", "1");
        bench.run("pexpire b 1");
        bench.now += 1;
        assert_eq!(bench.run("renamenx a b"), ":1|");
        assert_eq!(bench.heard, ["expired b", "new b", "rename_from a", "rename_to b"]);
        assert_eq!(bench.run("rename a b"), "-ERR no such key|");
    }
}
