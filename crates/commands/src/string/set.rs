//! Commands that set one string.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::options::{Condition, Expire, Of, Options, Ttl};
use crate::args::is;
use crate::error::WRONG_TYPE;
use crate::spec::{WRITE, WRITE_FAST};
use crate::{Access, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const SET: Spec = Spec {
    name: "set",
    summary: "Sets the string value of a key, ignoring its type. The key is created if it does not exist.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: -3,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::ByOptions(Access::READ_UPDATE, access),
    syntax: "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
    handler: Handler::Data(set),
    ..SPEC
};

/// With GET it returns what was there.
fn access(request: &Request) -> Access {
    match request.iter().skip(3).any(|option| is(option, "GET")) {
        true => Access::READ_UPDATE,
        false => Access::OVERWRITE,
    }
}

fn set(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let options = Options::parse(request, 3, Of::Set)?;
    let done = store(cx, &request[1], &request[2], &options, "set")?;
    match (options.get, done) {
        (true, _) => {}
        (false, true) => cx.reply.ok(),
        (false, false) => cx.reply.null(),
    }
    Ok(())
}

pub(super) const SETNX: Spec = Spec {
    name: "setnx",
    summary: "Sets the string value of a key only if the key does not exist.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::CREATE,
    syntax: "key value",
    handler: Handler::Data(setnx),
    ..SPEC
};

fn setnx(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let options = Options {
        condition: Some(Condition::Missing),
        ..Options::default()
    };
    let done = store(cx, &request[1], &request[2], &options, "setnx")?;
    cx.reply.integer(i64::from(done));
    Ok(())
}

pub(super) const SETEX: Spec = Spec {
    name: "setex",
    summary: "Sets the string value and the expiration time, in seconds, of a key.",
    since: "2.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::OVERWRITE,
    syntax: "key seconds value",
    handler: Handler::Data(|cx, request| set_for(cx, request, true, "setex")),
    ..SPEC
};

pub(super) const PSETEX: Spec = Spec {
    name: "psetex",
    summary: "Sets the string value and the expiration time, in milliseconds, of a key.",
    since: "2.6.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::OVERWRITE,
    syntax: "key milliseconds value",
    handler: Handler::Data(|cx, request| set_for(cx, request, false, "psetex")),
    ..SPEC
};

fn set_for(cx: &mut Cx<'_>, request: &Request, seconds: bool, command: &str) -> Outcome {
    let options = Options {
        ttl: Some(Ttl::Expire(Expire {
            text: &request[2],
            seconds,
            absolute: false,
        })),
        ..Options::default()
    };
    store(cx, &request[1], &request[3], &options, command)?;
    cx.reply.ok();
    Ok(())
}

pub(super) const GETSET: Spec = Spec {
    name: "getset",
    summary: "Returns the string value of a key and sets it to a new one. Deprecated: SET with GET does it too.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 3,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key value",
    handler: Handler::Data(getset),
    ..SPEC
};

fn getset(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let options = Options {
        get: true,
        ..Options::default()
    };
    store(cx, &request[1], &request[2], &options, "getset")?;
    Ok(())
}

/// One get, one put. With [`Options::get`] it writes the old value as the reply. Gives whether the condition was met.
fn store(
    cx: &mut Cx<'_>,
    key: &[u8],
    value: &[u8],
    options: &Options<'_>,
    command: &str,
) -> Result<bool, CommandError> {
    let expire_at = match options.ttl {
        Some(Ttl::Expire(expire)) => Some(expire.at(cx, command)?),
        _ => None,
    };
    let found = cx.row(key)?;
    if options.get {
        match &found {
            Some(row) if row.header.kind != Kind::String => return Err(WRONG_TYPE),
            Some(row) => cx.reply.bulk(row.body()),
            None => cx.reply.null(),
        }
    }
    let met = match options.condition {
        None => true,
        Some(Condition::Missing) => found.is_none(),
        Some(Condition::Present) => found.is_some(),
    };
    if !met {
        return Ok(false);
    }
    let old = found.map(|row| row.header);
    let kept = match options.ttl {
        Some(Ttl::Keep) => old.and_then(|old| old.expire_at),
        _ => expire_at,
    };
    cx.put_string(key, old, value, kept)?;
    cx.modified(KeyEvent::Set, key);
    if expire_at.is_some() {
        cx.event(KeyEvent::Expire, key);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn set_with_conditions() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("set k v xx"), "$-1|");
        assert_eq!(bench.run("set k v nx"), "+OK|");
        assert_eq!(bench.heard, ["new k", "set k"]);
        assert_eq!(bench.run("set k w nx"), "$-1|");
        assert!(bench.heard.is_empty());
        assert_eq!(bench.run("set k w XX"), "+OK|");
        assert_eq!(bench.run("set k x nx get"), "$1|w|");
        assert_eq!(bench.run("set k x xx get"), "$1|w|");
        assert_eq!(bench.run("set other x xx get"), "$-1|");
        assert_eq!(bench.run("get other"), "$-1|");
        assert_eq!(bench.run("set other x nx get"), "$-1|");
        assert_eq!(bench.run("get other"), "$1|x|");
        assert_eq!(bench.run("setnx k y"), ":0|");
        assert_eq!(bench.run("setnx third y"), ":1|");
        assert_eq!(bench.run("getset third z"), "$1|y|");
        assert_eq!(bench.run("getset fourth z"), "$-1|");
        assert_eq!(bench.run("get fourth"), "$1|z|");
    }

    #[test]
    fn set_with_times() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            let now = bench.now;
            assert_eq!(bench.run("set k v ex 10"), "+OK|");
            assert_eq!(bench.heard, ["new k", "set k", "expire k"]);
            bench.now = now + 9_999;
            assert_eq!(bench.run("get k"), "$1|v|");
            assert_eq!(bench.run("set k w keepttl"), "+OK|");
            assert_eq!(bench.heard, ["set k"]);
            bench.now = now + 10_000;
            assert_eq!(bench.run("get k"), "$-1|");
            assert_eq!(bench.run("set k v xx"), "$-1|");
            assert_eq!(bench.run("psetex k 5 a"), "+OK|");
            assert_eq!(bench.run("set k b"), "+OK|");
            bench.now += 5;
            assert_eq!(bench.run("get k"), "$1|b|");
            // A time in the past: the key is there no more.
            assert_eq!(bench.run("set k c pxat 1"), "+OK|");
            assert_eq!(bench.run("get k"), "$-1|");
            assert_eq!(bench.run("setex k 1 c"), "+OK|");
            assert_eq!(bench.run(&format!("set k d EXAT {}", bench.now / 1000 + 2)), "+OK|");
            bench.now += 1_000;
            assert_eq!(bench.run("get k"), "$1|d|");
        }
    }

    #[test]
    fn set_refuses_contradictions() {
        let mut bench = Bench::new();
        for line in [
            "set k v nx xx",
            "set k v ex",
            "set k v ex 10 px 10",
            "set k v keepttl ex 10",
            "set k v exat 10 keepttl",
            "set k v persist",
            "set k v nonsense",
            "set k v ex 10 exat 10",
            "getex k keepttl",
            "getex k nx",
            "getex k ex 5 persist",
        ] {
            assert_eq!(bench.run(line), "-ERR syntax error|", "{line}");
        }
        for line in [
            "set k v ex 0",
            "set k v px -1",
            "set k v exat 0",
            "set k v ex 9223372036854775807",
            "set k v px 9223372036854775807",
            "set k v ex 9223372036854775",
        ] {
            assert_eq!(bench.run(line), "-ERR invalid expire time in 'set' command|", "{line}");
        }
        assert_eq!(bench.run("setex k 0 v"), "-ERR invalid expire time in 'setex' command|");
        assert_eq!(
            bench.run("psetex k -5 v"),
            "-ERR invalid expire time in 'psetex' command|"
        );
        assert_eq!(
            bench.run("set k v px x"),
            "-ERR value is not an integer or out of range|"
        );
        assert_eq!(bench.run("set k v ex 10 ex 20 nx nx"), "+OK|");
    }
}
