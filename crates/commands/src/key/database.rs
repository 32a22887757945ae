//! DBSIZE, FLUSHDB, FLUSHALL and SWAPDB.

use haypile_resp::Request;

use super::database;
use crate::args::int32;
use crate::args::is;
use crate::error::SYNTAX;
use crate::spec::{READ_FAST, REMOVE, REMOVE_FAST};
use crate::{Categories, CommandError, Cx, Group, Handler, Outcome, SPEC, Spec};

pub(super) const DBSIZE: Spec = Spec {
    name: "dbsize",
    summary: "Returns the number of keys in the database.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(1)",
    arity: 1,
    flags: READ_FAST,
    categories: Some(Categories::KEYSPACE),
    handler: Handler::Data(|cx, _| {
        let keys = cx.counts().keys;
        cx.reply.integer(i64::try_from(keys).unwrap_or(i64::MAX));
        Ok(())
    }),
    ..SPEC
};

pub(super) const FLUSHDB: Spec = Spec {
    name: "flushdb",
    summary: "Removes all keys from the database.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(1): the space is freed in the background, SYNC or not",
    arity: -1,
    flags: REMOVE,
    categories: Some(Categories::KEYSPACE.or(Categories::DANGEROUS)),
    syntax: "[ASYNC|SYNC]",
    handler: Handler::Data(|cx, request| {
        check_flush_mode(request)?;
        flush(cx, cx.db())?;
        cx.reply.ok();
        Ok(())
    }),
    ..SPEC
};

pub(super) const FLUSHALL: Spec = Spec {
    name: "flushall",
    summary: "Removes all keys from all databases.",
    complexity: "O(N) where N is the number of databases: the space is freed in the background, SYNC or not",
    categories: Some(Categories::KEYSPACE.or(Categories::DANGEROUS)),
    handler: Handler::Data(|cx, request| {
        check_flush_mode(request)?;
        for db in 0..cx.view.databases() {
            flush(cx, db)?;
        }
        cx.reply.ok();
        Ok(())
    }),
    ..FLUSHDB
};

pub(super) const SWAPDB: Spec = Spec {
    name: "swapdb",
    summary: "Exchanges two databases.",
    since: "4.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of clients that watch or wait for keys of either",
    arity: 3,
    flags: REMOVE_FAST,
    categories: Some(Categories::KEYSPACE.or(Categories::DANGEROUS)),
    syntax: "index1 index2",
    handler: Handler::Data(swapdb),
    ..SPEC
};

/// Both modes take no time here.
fn check_flush_mode(request: &Request) -> Outcome {
    match (request.len(), request.get(1)) {
        (1, _) => Ok(()),
        (2, Some(mode)) if is(mode, "SYNC") || is(mode, "ASYNC") => Ok(()),
        _ => Err(SYNTAX),
    }
}

/// Empties a database, unless it is empty: it would get new column families at the next write.
fn flush(cx: &mut Cx<'_>, db: u16) -> Outcome {
    if cx.view.counts(db).keys > 0 {
        cx.flush_db(db)?;
    }
    Ok(())
}

fn swapdb(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let number = |arg: &[u8], error: &'static str| int32(arg).map_err(|_| CommandError::reply(error));
    let first = number(&request[1], "ERR invalid first DB index")?;
    let second = number(&request[2], "ERR invalid second DB index")?;
    let (first, second) = (database(cx, first)?, database(cx, second)?);
    if first != second {
        cx.swap_dbs(first, second)?;
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn flushing_empties_at_once() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            for (line, left) in [
                ("flushdb", 1),
                ("flushdb ASYNC", 1),
                ("flushall sync", 0),
                ("flushall", 0),
            ] {
                for db in [0, 3] {
                    bench.db = db;
                    bench.run("flushdb");
                    bench.string("a", "1");
                    bench.run("expire a 100");
                }
                bench.db = 0;
                bench.collection("b", Kind::Hash, 3);
                assert_eq!(bench.run("dbsize"), ":2|");
                assert_eq!(bench.run(line), "+OK|");
                assert_eq!(bench.run("dbsize"), ":0|");
                assert_eq!(bench.counts(), (0, 0));
                assert_eq!(bench.run("keys *"), "*0|");
                assert_eq!(bench.run("exists a b"), ":0|");
                bench.db = 3;
                assert_eq!(bench.run("dbsize"), format!(":{left}|"));
                bench.db = 0;
                bench.string("a", "2");
                assert_eq!(bench.run("get a"), "$1|2|");
            }
        }
    }

    #[test]
    fn swapping_exchanges_all_keys() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.string("a", "1");
            bench.db = 9;
            bench.string("b", "1");
            bench.string("c", "1");
            assert_eq!(bench.run("swapdb 9 0"), "+OK|");
            assert_eq!(bench.list("keys *"), ["a"]);
            bench.db = 0;
            assert_eq!(bench.list("keys *"), ["b", "c"]);
            assert_eq!(bench.run("swapdb 0 0"), "+OK|");
            assert_eq!(bench.run("dbsize"), ":2|");
            assert_eq!(bench.run("swapdb 0 9"), "+OK|");
            assert_eq!(bench.run("dbsize"), ":1|");
        }
    }

    #[test]
    fn arguments_are_checked() {
        let mut bench = Bench::new();
        for (line, reply) in [
            ("flushdb now", "-ERR syntax error|"),
            ("flushdb sync async", "-ERR syntax error|"),
            ("flushall now", "-ERR syntax error|"),
            ("swapdb x 1", "-ERR invalid first DB index|"),
            ("swapdb 1 x", "-ERR invalid second DB index|"),
            ("swapdb 1 99999999999", "-ERR invalid second DB index|"),
            ("swapdb 99 x", "-ERR invalid second DB index|"),
            ("swapdb 0 16", "-ERR DB index is out of range|"),
            ("swapdb -1 0", "-ERR DB index is out of range|"),
        ] {
            assert_eq!(bench.run(line), reply, "{line}");
        }
    }
}
