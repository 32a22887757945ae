//! OBJECT: what Redis tells of a value's representation in memory.

use haypile_resp::Request;
use haypile_store::keys::meta_key;

use super::{encoding, is_live};
use crate::cx::Row;
use crate::spec::READ;
use crate::{CommandError, Cx, Flags, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec};

pub(super) const OBJECT: Spec = Spec {
    name: "object",
    summary: "Commands that tell of a value's representation.",
    since: "2.2.3",
    group: Group::Generic,
    complexity: "Depends on the subcommand",
    arity: -2,
    subcommands: &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT],
    ..SPEC
};

const ENCODING: Spec = Spec {
    name: "encoding",
    summary: "Names the encoding that Redis would choose for the value of a key.",
    since: "2.2.3",
    group: Group::Generic,
    complexity: "O(1): at most a few hundred elements are looked at",
    arity: 3,
    flags: READ,
    keys: Keys::Range {
        first: 2,
        last: 2,
        step: 1,
    },
    access: KeyAccess::LOOK,
    syntax: "key",
    handler: Handler::Data(|cx, request| {
        if let Some(row) = find(cx, &request[2])? {
            let name = encoding::name(&row, &cx.packed_limits)?;
            cx.reply.bulk_str(name);
        }
        Ok(())
    }),
    ..SPEC
};

const FREQ: Spec = Spec {
    name: "freq",
    summary: "Says how often a key is used; not tracked here: 0 with an LFU policy, an error without.",
    since: "4.0.0",
    complexity: "O(1)",
    // It depends on the configuration.
    access: KeyAccess::LOOK,
    handler: Handler::Server,
    ..ENCODING
};

const IDLETIME: Spec = Spec {
    name: "idletime",
    summary: "Says for how many seconds a key has not been used; not tracked here, so 0.",
    complexity: "O(1)",
    access: KeyAccess::LOOK,
    handler: Handler::Data(|cx, request| {
        if find(cx, &request[2])?.is_some() {
            cx.reply.integer(0);
        }
        Ok(())
    }),
    ..ENCODING
};

const REFCOUNT: Spec = Spec {
    name: "refcount",
    summary: "Says how many references to a value there are: one.",
    complexity: "O(1)",
    access: KeyAccess::LOOK,
    handler: Handler::Data(|cx, request| {
        if find(cx, &request[2])?.is_some() {
            cx.reply.integer(1);
        }
        Ok(())
    }),
    ..ENCODING
};

const HELP: Spec = Spec {
    name: "help",
    summary: "Lists the subcommands of OBJECT.",
    since: "6.2.0",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE),
    keys: crate::Keys::None,
    syntax: "",
    handler: Handler::Data(help),
    ..ENCODING
};

/// The encoding that OBJECT ENCODING names; `None` if there is no such key. Does not count as a use of the key.
pub fn encoding_of(cx: &mut Cx<'_>, key: &[u8]) -> Result<Option<&'static str>, CommandError> {
    match cx.raw_row(&meta_key(key))?.filter(|row| is_live(row.header, cx.now)) {
        Some(row) => encoding::name(&row, &cx.packed_limits).map(Some),
        None => Ok(None),
    }
}

/// The row of a live key, without counting as a use of it. Replies null if there is none.
fn find<'a>(cx: &mut Cx<'a>, key: &[u8]) -> Result<Option<Row<'a>>, CommandError> {
    let row = cx.raw_row(&meta_key(key))?.filter(|row| is_live(row.header, cx.now));
    if row.is_none() {
        cx.reply.null();
    }
    Ok(row)
}

fn help(cx: &mut Cx<'_>, _: &Request) -> Outcome {
    let lines = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the encoding that Redis would choose for the value of <key>.",
        "FREQ <key>",
        "    Return how often <key> is used. Not tracked: an error.",
        "IDLETIME <key>",
        "    Return for how many seconds <key> has not been used. Not tracked: 0.",
        "REFCOUNT <key>",
        "    Return the number of references to the value of <key>: 1.",
        "HELP",
        "    Print this help.",
    ];
    cx.reply.array(lines.len());
    lines.into_iter().for_each(|line| cx.reply.simple(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn tells_of_live_keys_only() {
        let mut bench = Bench::new();
        bench.string("k", "1");
        assert_eq!(bench.run("object encoding k"), "$3|int|");
        assert_eq!(bench.run("object REFCOUNT k"), ":1|");
        assert_eq!(bench.run("object idletime k"), ":0|");
        bench.run("pexpire k 1");
        bench.now += 1;
        for sub in ["encoding", "refcount", "idletime"] {
            assert_eq!(bench.run(&format!("object {sub} k")), "$-1|");
            assert_eq!(bench.run(&format!("object {sub} nothing")), "$-1|");
            assert_eq!(bench.heard, Vec::<String>::new());
        }
        bench.version = Version::Resp3;
        assert_eq!(bench.run("object encoding nothing"), "_|");
        assert!(bench.run("object help").starts_with("*11|+OBJECT <subcommand> "));
        assert_eq!(
            bench.run("object encoding"),
            "-ERR wrong number of arguments for 'object|encoding' command|"
        );
        assert_eq!(
            bench.run("object nonsense k"),
            "-ERR unknown subcommand 'nonsense'. Try OBJECT HELP.|"
        );
    }
}
