//! EXISTS, TOUCH and TYPE.

use haypile_resp::Request;

use crate::spec::READ_FAST;
use crate::{Cx, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec};

pub(super) const EXISTS: Spec = Spec {
    name: "exists",
    summary: "Says how many of the keys exist; a key that is named twice counts twice.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(N) where N is the number of keys",
    arity: -2,
    flags: READ_FAST,
    keys: Keys::ALL,
    access: KeyAccess::LOOK,
    syntax: "key [key ...]",
    handler: Handler::Data(count_existing),
    ..SPEC
};

pub(super) const TOUCH: Spec = Spec {
    name: "touch",
    summary: "Says how many of the keys exist, as if they had been read.",
    since: "3.2.1",
    access: KeyAccess::LOOK,
    ..EXISTS
};

pub(super) const TYPE: Spec = Spec {
    name: "type",
    summary: "Says of which type the value of a key is.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    access: KeyAccess::LOOK,
    syntax: "key",
    handler: Handler::Data(type_of),
    ..SPEC
};

fn count_existing(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut found = 0;
    for key in request.iter().skip(1) {
        found += i64::from(cx.row(key)?.is_some());
    }
    cx.reply.integer(found);
    Ok(())
}

fn type_of(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let name = cx.row(&request[1])?.map_or("none", |row| row.header.kind.name());
    cx.reply.simple(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn counts_keys_and_names_types() {
        let mut bench = Bench::new();
        bench.string("s", "1");
        for (key, kind) in [
            ("l", Kind::List),
            ("h", Kind::Hash),
            ("z", Kind::Zset),
            ("m", Kind::Set),
        ] {
            bench.collection(key, kind, 2);
        }
        assert_eq!(bench.run("exists s l s nothing"), ":3|");
        assert_eq!(bench.heard, ["keymiss nothing"]);
        assert_eq!(bench.run("touch s l nothing"), ":2|");
        for (key, name) in [
            ("s", "string"),
            ("l", "list"),
            ("h", "hash"),
            ("z", "zset"),
            ("m", "set"),
            ("nothing", "none"),
        ] {
            assert_eq!(bench.run(&format!("type {key}")), format!("+{name}|"));
        }
        bench.run("pexpire s 10");
        bench.now += 10;
        assert_eq!(bench.run("exists s"), ":0|");
        assert_eq!(bench.run("type s"), "+none|");
    }
}
