//! Commands on many strings at once.

use haypile_resp::Request;
use haypile_store::row::Kind;

use crate::spec::{READ_FAST, WRITE};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const MGET: Spec = Spec {
    name: "mget",
    summary: "Returns the string values of several keys, null for those that are missing or no strings.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(N) where N is the number of keys to retrieve.",
    arity: -2,
    flags: READ_FAST,
    keys: Keys::ALL,
    syntax: "key [key ...]",
    handler: Handler::Data(mget),
    ..SPEC
};

fn mget(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    cx.reply.array(request.len() - 1);
    for key in request.iter().skip(1) {
        match cx.row(key)? {
            Some(row) if row.header.kind == Kind::String => cx.reply.bulk(row.body()),
            _ => cx.reply.null(),
        }
    }
    Ok(())
}

/// Where the keys stand among the arguments: every other one.
const PAIRS: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 2,
};

pub(super) const MSET: Spec = Spec {
    name: "mset",
    summary: "Sets the string values of several keys at once.",
    since: "1.0.1",
    group: Group::String,
    complexity: "O(N) where N is the number of keys to set.",
    arity: -3,
    flags: WRITE,
    keys: PAIRS,
    access: KeyAccess::OVERWRITE,
    syntax: "key value [key value ...]",
    handler: Handler::Data(mset),
    ..SPEC
};

fn mset(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    check_pairs(request, "mset")?;
    set_all(cx, request)?;
    cx.reply.ok();
    Ok(())
}

pub(super) const MSETNX: Spec = Spec {
    name: "msetnx",
    summary: "Sets the string values of several keys at once, only if none of them exists.",
    since: "1.0.1",
    group: Group::String,
    complexity: "O(N) where N is the number of keys to set.",
    arity: -3,
    flags: WRITE,
    keys: PAIRS,
    access: KeyAccess::CREATE,
    syntax: "key value [key value ...]",
    handler: Handler::Data(msetnx),
    ..SPEC
};

fn msetnx(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    check_pairs(request, "msetnx")?;
    for key in request.iter().skip(1).step_by(2) {
        if cx.row(key)?.is_some() {
            cx.reply.integer(0);
            return Ok(());
        }
    }
    set_all(cx, request)?;
    cx.reply.integer(1);
    Ok(())
}

fn check_pairs(request: &Request, command: &str) -> Result<(), CommandError> {
    if request.len().is_multiple_of(2) {
        let text = format!("ERR wrong number of arguments for '{command}' command");
        return Err(CommandError::reply(text));
    }
    Ok(())
}

fn set_all(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    for at in (1..request.len()).step_by(2) {
        let key = &request[at];
        // The same key may come twice, so each is looked up when its turn comes.
        let old = cx.row(key)?.map(|row| row.header);
        cx.put_string(key, old, &request[at + 1], None)?;
        cx.modified(KeyEvent::Set, key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn many_keys_at_once() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(
                bench.run("mset a 1 b"),
                "-ERR wrong number of arguments for 'mset' command|"
            );
            assert_eq!(
                bench.run("msetnx a 1 b"),
                "-ERR wrong number of arguments for 'msetnx' command|"
            );
            assert_eq!(bench.run("set a 0 ex 1"), "+OK|");
            assert_eq!(bench.run("mset a 1 b 2 a 3"), "+OK|");
            assert_eq!(bench.heard, ["set a", "new b", "set b", "set a"]);
            bench.now += 1_000;
            assert_eq!(bench.run("mget a b c a"), "*4|$1|3|$1|2|$-1|$1|3|");
            assert_eq!(bench.run("msetnx c 1 b 2"), ":0|");
            assert_eq!(bench.run("get c"), "$-1|");
            assert_eq!(bench.run("msetnx c 1 d 2 c 4"), ":1|");
            assert_eq!(bench.run("mget c d"), "*2|$1|4|$1|2|");
        }
    }
}
