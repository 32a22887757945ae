//! Commands that read one string, and those that do so and then change what happens to the key.

use haypile_resp::Request;

use super::options::{Of, Options, Ttl};
use crate::spec::{READ_FAST, REMOVE_FAST};
use crate::{Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const GET: Spec = Spec {
    name: "get",
    summary: "Returns the string value of a key.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key",
    handler: Handler::Data(get),
    ..SPEC
};

fn get(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    match cx.string(&request[1])? {
        Some(row) => cx.reply.bulk(row.body()),
        None => cx.reply.null(),
    }
    Ok(())
}

pub(super) const STRLEN: Spec = Spec {
    name: "strlen",
    summary: "Returns the length of a string value.",
    since: "2.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    access: KeyAccess::LOOK,
    syntax: "key",
    handler: Handler::Data(strlen),
    ..SPEC
};

fn strlen(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let len = cx.string(&request[1])?.map_or(0, |row| row.body().len());
    cx.reply.integer(len as i64);
    Ok(())
}

pub(super) const GETDEL: Spec = Spec {
    name: "getdel",
    summary: "Returns the string value of a key and deletes the key.",
    since: "6.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::TAKE,
    syntax: "key",
    handler: Handler::Data(getdel),
    ..SPEC
};

fn getdel(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let Some(row) = cx.string(key)? else {
        cx.reply.null();
        return Ok(());
    };
    cx.reply.bulk(row.body());
    cx.delete(key, row.header)?;
    cx.modified(KeyEvent::Del, key);
    Ok(())
}

pub(super) const GETEX: Spec = Spec {
    name: "getex",
    summary: "Returns the string value of a key, and sets or removes its expiration time.",
    since: "6.2.0",
    group: Group::String,
    complexity: "O(1)",
    arity: -2,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
    handler: Handler::Data(getex),
    ..SPEC
};

fn getex(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let options = Options::parse(request, 2, Of::GetEx)?;
    let Some(row) = cx.string(key)? else {
        cx.reply.null();
        return Ok(());
    };
    cx.reply.bulk(row.body());
    match options.ttl {
        Some(Ttl::Expire(expire)) => {
            let at = expire.at(cx, "getex")?;
            if expire.absolute && at <= cx.now {
                cx.delete(key, row.header)?;
                cx.modified(KeyEvent::Del, key);
            } else {
                cx.set_expiry(key, &row, Some(at))?;
                cx.modified(KeyEvent::Expire, key);
            }
        }
        Some(Ttl::Persist) if row.header.expire_at.is_some() => {
            cx.set_expiry(key, &row, None)?;
            cx.modified(KeyEvent::Persist, key);
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn get_and_strlen() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("strlen k"), ":0|");
        bench.run("set k value");
        assert_eq!(bench.run("get k"), "$5|value|");
        assert_eq!(bench.run("strlen k"), ":5|");
    }

    #[test]
    fn getdel_removes_the_key() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("getdel k"), "$-1|");
            bench.run("set k v ex 10");
            assert_eq!(bench.run("getdel k"), "$1|v|");
            assert_eq!(bench.heard, ["del k"]);
            assert_eq!(bench.run("get k"), "$-1|");
        }
    }

    #[test]
    fn getex_changes_the_time_to_live() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("getex k ex 0"), "$-1|");
            bench.run("set k v");
            assert_eq!(bench.run("getex k"), "$1|v|");
            assert_eq!(bench.run("getex k persist"), "$1|v|");
            assert!(bench.heard.is_empty());
            assert_eq!(
                bench.run("getex k ex 0"),
                "-ERR invalid expire time in 'getex' command|"
            );
            assert_eq!(bench.run("getex k px 10"), "$1|v|");
            assert_eq!(bench.heard, ["expire k"]);
            bench.now += 9;
            assert_eq!(bench.run("getex k persist"), "$1|v|");
            assert_eq!(bench.heard, ["persist k"]);
            bench.now += 9;
            assert_eq!(bench.run("get k"), "$1|v|");
            assert_eq!(bench.run("getex k exat 1"), "$1|v|");
            assert_eq!(bench.heard, ["del k"]);
            assert_eq!(bench.run("get k"), "$-1|");
        }
    }
}
