//! HSET, HMSET, HSETNX and HDEL.

use haypile_resp::Request;
use haypile_store::row::Kind;

use crate::spec::{REMOVE_FAST, WRITE_FAST};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Named, Outcome, SPEC, Spec};

pub(super) const HSET: Spec = Spec {
    name: "hset",
    summary: "Sets the values of fields in a hash, and creates the fields and the hash where they do not exist.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
    arity: -4,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    syntax: "key field value [field value ...]",
    named: Named::each(2, 2),
    handler: Handler::Data(hset),
    ..SPEC
};

pub(super) const HMSET: Spec = Spec {
    name: "hmset",
    summary: "Sets the values of fields in a hash; HSET does the same.",
    complexity: "O(N) where N is the number of fields being set.",
    named: Named::each(2, 2),
    handler: Handler::Data(hmset),
    ..HSET
};

pub(super) const HSETNX: Spec = Spec {
    name: "hsetnx",
    summary: "Sets the value of a field in a hash only if the field does not exist.",
    complexity: "O(1)",
    arity: 4,
    access: KeyAccess::INSERT,
    syntax: "key field value",
    named: Named::one(2),
    handler: Handler::Data(hsetnx),
    ..HSET
};

pub(super) const HDEL: Spec = Spec {
    name: "hdel",
    summary: "Removes fields from a hash, and the hash with its last field.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) where N is the number of fields to be removed.",
    arity: -3,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::DELETE,
    syntax: "key field [field ...]",
    named: Named::each(2, 1),
    handler: Handler::Data(hdel),
    ..SPEC
};

fn hset(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let created = set_all(cx, request, "hset")?;
    cx.reply.integer(created as i64);
    Ok(())
}

fn hmset(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    set_all(cx, request, "hmset")?;
    cx.reply.ok();
    Ok(())
}

/// Sets the fields of a request; the number of those that are new.
fn set_all(cx: &mut Cx<'_>, request: &Request, name: &str) -> Result<u64, CommandError> {
    if request.len() % 2 == 1 {
        return Err(CommandError::reply(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    let key = &request[1];
    let mut hash = cx.collection_or_new(key, Kind::Hash)?;
    // What has just been created has no fields; only the request's own may come twice.
    let surely_new = hash.old.is_none() && request.len() == 4;
    let mut created = 0;
    for i in (2..request.len()).step_by(2) {
        if surely_new || !cx.has_element(&hash, &request[i])? {
            created += 1;
        }
        cx.put_element(&mut hash, &request[i], &request[i + 1])?;
    }
    hash.size += created;
    cx.put_collection(key, &mut hash)?;
    cx.modified(KeyEvent::HSet, key);
    Ok(created)
}

fn hsetnx(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let mut hash = cx.collection_or_new(key, Kind::Hash)?;
    if hash.old.is_some() && cx.has_element(&hash, &request[2])? {
        cx.reply.integer(0);
        return Ok(());
    }
    cx.put_element(&mut hash, &request[2], &request[3])?;
    hash.size += 1;
    cx.put_collection(key, &mut hash)?;
    cx.reply.integer(1);
    cx.modified(KeyEvent::HSet, key);
    Ok(())
}

fn hdel(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let Some(mut hash) = cx.collection(key, Kind::Hash)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let mut deleted = 0;
    for field in request.iter().skip(2) {
        if cx.has_element(&hash, field)? {
            cx.delete_element(&mut hash, field)?;
            deleted += 1;
            hash.size -= 1;
            if hash.size == 0 {
                break;
            }
        }
    }
    if deleted > 0 {
        cx.put_collection(key, &mut hash)?;
        cx.modified(KeyEvent::HDel, key);
        if hash.size == 0 {
            cx.event(KeyEvent::Del, key);
        }
    }
    cx.reply.integer(deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn hset_counts_new_fields_and_hmset_says_ok() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("hset h a 1"), ":1|");
            assert_eq!(bench.heard, ["new h", "hset h"]);
            assert_eq!(bench.run("hset h a 2 b 3"), ":1|");
            assert_eq!(bench.heard, ["hset h"]);
            assert_eq!(bench.run("hset new x 1 x 2"), ":1|");
            assert_eq!(bench.run("hlen new"), ":1|");
            assert_eq!(bench.run("hget new x"), "$1|2|");
            assert_eq!(bench.run("hmset h a 4 c 5"), "+OK|");
            assert_eq!(bench.run("hgetall h"), "*6|$1|a|$1|4|$1|b|$1|3|$1|c|$1|5|");
            assert_eq!(
                bench.run("hmset h a 1 b"),
                "-ERR wrong number of arguments for 'hmset' command|"
            );
            assert_eq!(
                bench.run("hset h a 1 b"),
                "-ERR wrong number of arguments for 'hset' command|"
            );
            assert_eq!(
                bench.run("hset h a"),
                "-ERR wrong number of arguments for 'hset' command|"
            );
        }
    }

    #[test]
    fn hsetnx_does_not_overwrite() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("hsetnx h a 1"), ":1|");
        assert_eq!(bench.heard, ["new h", "hset h"]);
        assert_eq!(bench.run("hsetnx h a 2"), ":0|");
        assert!(bench.heard.is_empty());
        assert_eq!(bench.run("hsetnx h b 2"), ":1|");
        assert_eq!(bench.run("hmget h a b"), "*2|$1|1|$1|2|");
    }

    #[test]
    fn the_key_goes_with_its_last_field() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("hset h a 1 b 2 c 3");
            assert_eq!(bench.run("hdel h x y"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("hdel h a a x"), ":1|");
            assert_eq!(bench.heard, ["hdel h"]);
            assert_eq!(bench.run("hdel h b c d e"), ":2|");
            assert_eq!(bench.heard, ["hdel h", "del h"]);
            assert_eq!(bench.run("hlen h"), ":0|");
            assert_eq!(bench.run("hdel h a"), ":0|");
            assert_eq!(bench.run("hset h z 1"), ":1|");
            assert_eq!(bench.run("hgetall h"), "*2|$1|z|$1|1|");
        }
    }
}
