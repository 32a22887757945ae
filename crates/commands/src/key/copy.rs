//! COPY and MOVE.

use haypile_resp::Request;

use super::database;
use super::transfer::{At, transfer};
use crate::args::int32;
use crate::args::is;
use crate::error::SYNTAX;
use crate::spec::{REMOVE_FAST, WRITE};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const COPY: Spec = Spec {
    name: "copy",
    summary: "Copies the value of a key to another key.",
    since: "6.2.0",
    group: Group::Generic,
    complexity: "O(1) for strings, O(N) for collections, where N is the number of elements",
    arity: -3,
    flags: WRITE,
    keys: Keys::TWO,
    access: KeyAccess::READ_AND_STORE,
    syntax: "source destination [DB destination-db] [REPLACE]",
    handler: Handler::Data(copy),
    ..SPEC
};

pub(super) const MOVE: Spec = Spec {
    name: "move",
    summary: "Moves a key to another database, unless it has a key of that name.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1) for strings, O(N) for collections, where N is the number of elements",
    arity: 3,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key db",
    handler: Handler::Data(move_key),
    ..SPEC
};

fn copy(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let db = cx.db();
    let from = At { db, key: &request[1] };
    let mut to = At { db, key: &request[2] };
    let mut replace = false;
    let mut at = 3;
    while let Some(option) = request.get(at) {
        match (option, request.get(at + 1)) {
            (o, _) if is(o, "REPLACE") => replace = true,
            (o, Some(number)) if is(o, "DB") => {
                to.db = database(cx, int32(number)?)?;
                at += 1;
            }
            _ => return Err(SYNTAX),
        }
        at += 1;
    }
    if from.db == to.db && from.key == to.key {
        return Err(same_object());
    }
    let copied = back_in(db, cx, |cx| {
        let Some(row) = cx.row(from.key)? else { return Ok(false) };
        cx.select(to.db);
        let old = cx.row(to.key)?.map(|row| row.header);
        if old.is_some() && !replace {
            return Ok(false);
        }
        transfer(cx, from, &row, to, old)?;
        cx.modified(KeyEvent::CopyTo, to.key);
        Ok(true)
    })?;
    cx.reply.integer(i64::from(copied));
    Ok(())
}

fn move_key(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let from = At { db: cx.db(), key };
    let to = At {
        db: database(cx, int32(&request[2])?)?,
        key,
    };
    if from.db == to.db {
        return Err(same_object());
    }
    let moved = back_in(from.db, cx, |cx| {
        let Some(row) = cx.row(key)? else { return Ok(false) };
        cx.select(to.db);
        if cx.row(key)?.is_some() {
            return Ok(false);
        }
        transfer(cx, from, &row, to, None)?;
        cx.select(from.db);
        cx.delete(key, row.header)?;
        cx.modified(KeyEvent::MoveFrom, key);
        cx.select(to.db);
        cx.modified(KeyEvent::MoveTo, key);
        Ok(true)
    })?;
    cx.reply.integer(i64::from(moved));
    Ok(())
}

fn same_object() -> CommandError {
    CommandError::reply("ERR source and destination objects are the same")
}

/// Does something that may select other databases, and selects `db` again.
fn back_in<'a, T>(
    db: u16,
    cx: &mut Cx<'a>,
    run: impl FnOnce(&mut Cx<'a>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let done = run(cx);
    cx.select(db);
    done
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn a_copy_is_equal_and_independent() {
        for apply in [true, false] {
            for kind in [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash] {
                let mut bench = Bench::new();
                bench.apply = apply;
                bench.value("a", kind, 4);
                bench.run("pexpire a 700");
                assert_eq!(bench.run("copy a b"), ":1|");
                assert_eq!(bench.digest_value("a"), bench.digest_value("b"));
                assert_eq!(bench.run("pttl b"), ":700|");
                assert_eq!(bench.counts(), (2, 2));
                assert_eq!(bench.run("copy a b"), ":0|");
                bench.value("c", kind, 9);
                assert_eq!(bench.run("copy c b"), ":0|");
                assert_eq!(bench.run("copy c b replace"), ":1|");
                assert_eq!(bench.digest_value("c"), bench.digest_value("b"));
                assert_eq!(bench.run("ttl b"), ":-1|");
                bench.run("del b");
                assert_eq!(bench.run("exists a c"), ":2|");
                assert_eq!(bench.counts(), (2, 1));
            }
        }
    }

    #[test]
    fn copies_to_another_database() {
        let mut bench = Bench::new();
        bench.collection("a", Kind::List, 4);
        let digest = bench.digest_value("a");
        assert_eq!(bench.run("copy a a db 9"), ":1|");
        assert_eq!(bench.heard, ["new a @9", "ready a @9", "copy_to a @9"]);
        assert_eq!(bench.run("copy a a DB 9"), ":0|");
        assert_eq!(bench.run("copy a a replace db 9"), ":1|");
        assert_eq!(bench.heard, ["new a @9", "ready a @9", "copy_to a @9"]);
        assert_eq!(bench.counts(), (1, 0));
        bench.db = 9;
        assert_eq!(bench.digest_value("a"), digest);
        assert_eq!(bench.counts(), (1, 0));
        assert_eq!(bench.run("copy a b db 0"), ":1|");
        bench.db = 0;
        assert_eq!(bench.digest_value("b"), digest);
    }

    #[test]
    fn moves_between_databases() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.collection("a", Kind::Hash, 4);
            bench.run("pexpire a 700");
            let digest = bench.digest_value("a");
            assert_eq!(bench.run("move nothing 1"), ":0|");
            assert_eq!(bench.run("move a 1"), ":1|");
            assert_eq!(bench.heard, ["new a @1", "move_from a", "move_to a @1"]);
            assert_eq!(bench.counts(), (0, 0));
            bench.string("a", "1");
            assert_eq!(bench.run("move a 1"), ":0|");
            assert_eq!(bench.run("get a"), "$1|1|");
            bench.db = 1;
            assert_eq!(bench.digest_value("a"), digest);
            assert_eq!(bench.run("pttl a"), ":700|");
            assert_eq!(bench.counts(), (1, 1));
            bench.now += 700;
            bench.db = 0;
            assert_eq!(bench.run("move a 1"), ":1|");
            assert_eq!(bench.heard, ["expired a @1", "new a @1", "move_from a", "move_to a @1"]);
        }
    }

    #[test]
    fn arguments_are_checked() {
        let mut bench = Bench::new();
        let same = "-ERR source and destination objects are the same|";
        let range = "-ERR DB index is out of range|";
        let integer = "-ERR value is not an integer or out of range|";
        let int32 = "-ERR value is out of range, value must between -2147483648 and 2147483647|";
        for (line, reply) in [
            ("copy a a", same),
            ("copy a a db 0", same),
            ("copy a b", ":0|"),
            ("copy a b db", "-ERR syntax error|"),
            ("copy a b db x", integer),
            ("copy a b db 16", range),
            ("copy a b db -1", range),
            ("copy a b db 2147483648", int32),
            ("copy a b x", "-ERR syntax error|"),
            ("copy a b db 16 x", range),
            ("move a 0", same),
            ("move a x", integer),
            ("move a 16", range),
            ("move a 99999999999", int32),
            ("move a 1", ":0|"),
        ] {
            assert_eq!(bench.run(line), reply, "{line}");
        }
    }
}
