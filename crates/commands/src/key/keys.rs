//! KEYS.

use haypile_resp::Request;
use haypile_store::keys::user_key;
use haypile_store::{Cf, Direction};

use super::pattern::Pattern;
use super::{header, is_live};
use crate::spec::READ;
use crate::{Categories, Cx, Group, Handler, Outcome, SPEC, Spec};

pub(super) const KEYS: Spec = Spec {
    name: "keys",
    summary: "Lists all keys that match a pattern.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(N) where N is the number of keys in the database; of those with the same hash tag if the pattern \
                 starts with one; O(1) without wildcards",
    arity: 2,
    flags: READ,
    categories: Some(Categories::KEYSPACE.or(Categories::DANGEROUS)),
    syntax: "pattern",
    handler: Handler::Data(keys),
    ..SPEC
};

fn keys(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let pattern = Pattern::new(&request[1]);
    let (lower, upper) = pattern.bounds();
    let space = cx.view.space(cx.db());
    let mut rows = cx
        .view
        .scan(space, Cf::Meta, &lower, upper.as_deref(), Direction::Forward)?;
    let len = cx.reply.deferred_len();
    let mut found = 0;
    while let Some((meta, row)) = rows.next()? {
        let key = user_key(meta);
        if pattern.matches(key) && is_live(header(row)?, cx.now) {
            cx.reply.bulk(key);
            found += 1;
        }
    }
    cx.reply.set_deferred_array(len, found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn lists_what_matches_and_lives() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("keys *"), "*0|");
            for key in ["hello", "hallo", "{tag}a", "{tag}b", "gone"] {
                bench.string(key, "1");
            }
            bench.run("pexpire gone 1");
            bench.run("pexpire hello 1000");
            bench.now += 1;
            assert_eq!(bench.list("keys *"), ["hallo", "hello", "{tag}a", "{tag}b"]);
            assert_eq!(bench.list("keys h?llo"), ["hallo", "hello"]);
            assert_eq!(bench.list("keys {tag}*"), ["{tag}a", "{tag}b"]);
            assert_eq!(bench.list("keys {tag}b"), ["{tag}b"]);
            assert_eq!(bench.run("keys hallo"), "*1|$5|hallo|");
            assert_eq!(bench.run("keys gone"), "*0|");
            assert_eq!(bench.run("keys nothing"), "*0|");
            assert_eq!(bench.heard, Vec::<String>::new());
        }
    }
}
