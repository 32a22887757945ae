//! Where a command's keys stand and what it does with them, as COMMAND INFO and COMMAND GETKEYSANDFLAGS show it.

use haypile_resp::Request;

use crate::args::is;
use crate::{Flags, Keys, Spec};

/// The keys of one sort that a command has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to them: see [`access`].
    pub flags: &'static [&'static str],
    /// Where they, or their number, stand.
    pub begin: Begin,
    /// How they go on from there.
    pub find: Find,
}

/// Where the first key of a sort stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// Behind a word.
    Keyword {
        /// In any case.
        word: &'static str,
        /// Index of the first argument that may be it.
        from: usize,
    },
}

/// How the keys of one sort follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last`, counted from the first one, or if negative from the end of the arguments, in steps.
    Range {
        /// 0 = the first is the only one; -1 = up to the last argument.
        last: i64,
        /// Distance between two.
        step: usize,
    },
    /// A number of keys, and then the keys.
    Counted,
}

/// What a command does with its keys: for its first key, and for the others where that differs.
///
/// `RO`, `RW`, `OW` (overwritten) or `RM` (removed) says what happens to the value; `access` that its content is
/// returned or copied, `update`, `insert` and `delete` what is done to the content. As in Redis 7.
pub fn access(full_name: &str, flags: Flags) -> [&'static [&'static str]; 2] {
    const READ: &[&str] = &["RO", "access"];
    const LOOK: &[&str] = &["RO"];
    const UPDATE: &[&str] = &["RW", "update"];
    const READ_UPDATE: &[&str] = &["RW", "access", "update"];
    const TAKE: &[&str] = &["RW", "access", "delete"];
    const DELETE: &[&str] = &["RW", "delete"];
    const INSERT: &[&str] = &["RW", "insert"];
    const OVERWRITE: &[&str] = &["OW", "update"];
    const CREATE: &[&str] = &["OW", "insert"];
    const REMOVE: &[&str] = &["RM", "delete"];
    let same = |flags| [flags, flags];
    match full_name {
        "exists" | "hexists" | "hlen" | "hstrlen" | "llen" | "memory|usage" | "object|encoding" | "object|freq"
        | "object|idletime" | "object|refcount" | "scard" | "sismember" | "strlen" | "touch" | "type" | "zcard"
        | "watch" => same(LOOK),
        "blmpop" | "blpop" | "brpop" | "bzmpop" | "bzpopmax" | "bzpopmin" | "getdel" | "lmpop" | "lpop" | "rpop"
        | "spop" | "zmpop" | "zpopmax" | "zpopmin" => same(TAKE),
        "hdel" | "lrem" | "ltrim" | "srem" | "zrem" | "zremrangebylex" | "zremrangebyrank" | "zremrangebyscore" => {
            same(DELETE)
        }
        "decr" | "decrby" | "getex" | "getset" | "hincrby" | "hincrbyfloat" | "incr" | "incrby" | "incrbyfloat"
        | "move" | "setbit" | "zincrby" => same(READ_UPDATE),
        "append" | "hsetnx" | "linsert" | "lpush" | "lpushx" | "pfadd" | "rpush" | "rpushx" | "sadd" => same(INSERT),
        "bitop" | "geosearchstore" | "sdiffstore" | "sunionstore" | "zdiffstore" | "zinterstore" | "zrangestore"
        | "zunionstore" => [OVERWRITE, READ],
        "sinterstore" => [UPDATE, READ],
        "blmove" | "brpoplpush" | "lmove" | "rpoplpush" | "smove" => [TAKE, INSERT],
        "mset" | "psetex" | "setex" => same(OVERWRITE),
        "msetnx" | "setnx" => same(CREATE),
        "del" | "unlink" => same(REMOVE),
        "georadius" | "georadiusbymember" | "copy" => [READ, OVERWRITE],
        "pfcount" | "pfdebug" => same(&["RW", "access"]),
        "pfmerge" => [&["RW", "access", "insert"], READ],
        "rename" => [TAKE, OVERWRITE],
        "renamenx" => [TAKE, CREATE],
        "set" => same(&["RW", "access", "update", "variable_flags"]),
        "bitfield" => same(&["RW", "update", "access", "variable_flags"]),
        "spublish" | "ssubscribe" | "sunsubscribe" => same(&["not_key"]),
        _ if flags.has(Flags::WRITE) => same(UPDATE),
        _ => same(READ),
    }
}

/// A single key.
const ONE: Find = Find::Range { last: 0, step: 1 };

/// The keys of a command, sort by sort.
pub fn of(full_name: &str, spec: &Spec) -> Vec<KeySpec> {
    let [first, others] = access(full_name, spec.flags);
    let one = |flags, at| KeySpec {
        flags,
        begin: Begin::Index(at),
        find: ONE,
    };
    match spec.keys {
        Keys::None => Vec::new(),
        Keys::Range { first: at, last, step } if first != others => {
            let rest = if last < 0 {
                i64::from(last)
            } else {
                i64::from(last) - at as i64 - 1
            };
            let others = KeySpec {
                flags: others,
                begin: Begin::Index(at + 1),
                find: Find::Range { last: rest, step },
            };
            vec![one(first, at), others]
        }
        Keys::Range { first: at, last, step } => {
            let last = if last < 0 {
                i64::from(last)
            } else {
                i64::from(last) - at as i64
            };
            vec![KeySpec {
                flags: first,
                begin: Begin::Index(at),
                find: Find::Range { last, step },
            }]
        }
        Keys::Counted { count_at, also } => {
            let counted = KeySpec {
                flags: others,
                begin: Begin::Index(count_at),
                find: Find::Counted,
            };
            also.map(|at| one(first, at)).into_iter().chain([counted]).collect()
        }
        Keys::FirstAndBehind { words, from } => {
            let behind = words.iter().map(|&word| KeySpec {
                flags: others,
                begin: Begin::Keyword { word, from },
                find: ONE,
            });
            std::iter::once(one(first, 1)).chain(behind).collect()
        }
    }
}

/// The indexes of a request's keys, each with what this request does with it.
pub fn with_access(full_name: &str, spec: &Spec, request: &Request) -> Vec<(usize, &'static [&'static str])> {
    let [first, others] = varying(full_name, request).unwrap_or_else(|| access(full_name, spec.flags));
    let keys = spec.keys.of(request);
    keys.into_iter()
        .enumerate()
        .map(|(n, at)| (at, if n == 0 { first } else { others }))
        .collect()
}

/// For those commands whose options decide.
fn varying(full_name: &str, request: &Request) -> Option<[&'static [&'static str]; 2]> {
    let options = || request.iter().skip(2);
    let flags: &[&str] = match full_name {
        "set" if options().skip(1).any(|arg| is(arg, "GET")) => &["RW", "access", "update"],
        "set" => &["OW", "update"],
        "bitfield" if options().any(|arg| is(arg, "SET") || is(arg, "INCRBY")) => &["RW", "access", "update"],
        "bitfield" => &["RO", "access"],
        _ => return None,
    };
    Some([flags, flags])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn shown(line: &str) -> String {
        let request = Request::from_args(line.split(' '));
        let known = table::lookup(&request).unwrap();
        let keys = with_access(&known.full_name, known.spec, &request);
        let one =
            |(at, flags): (usize, &[&str])| format!("{} {}", String::from_utf8_lossy(&request[at]), flags.join(" "));
        keys.into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn keys_come_with_what_happens_to_them() {
        for (line, keys) in [
            ("get a", "a RO access"),
            ("set a b", "a OW update"),
            ("set a b get", "a RW access update"),
            ("mset a 1 b 2", "a OW update, b OW update"),
            ("del a b", "a RM delete, b RM delete"),
            ("rename a b", "a RW access delete, b OW update"),
            ("memory usage a", "a RO"),
            ("georadius a 1 1 1 m", "a RO access"),
            ("georadius a 1 1 1 m store b", "a RO access, b OW update"),
            (
                "georadius a 1 1 1 m asc store b storedist store",
                "a RO access, store OW update",
            ),
            ("ping", ""),
        ] {
            assert_eq!(shown(line), keys, "{line}");
        }
    }

    #[test]
    fn sorts_of_keys_are_told_apart() {
        let spec = |name: &str| of(name, table::find(name.as_bytes()).unwrap().spec);
        let range = |last, step| Find::Range { last, step };
        assert_eq!(
            spec("mset"),
            [KeySpec {
                flags: &["OW", "update"],
                begin: Begin::Index(1),
                find: range(-1, 2)
            }]
        );
        let copy = spec("copy");
        assert_eq!((copy[0].begin, copy[0].find), (Begin::Index(1), range(0, 1)));
        assert_eq!((copy[1].begin, copy[1].find), (Begin::Index(2), range(0, 1)));
        assert_eq!(copy[1].flags, ["OW", "update"]);
        let georadius = spec("georadius");
        let word = |word| Begin::Keyword { word, from: 6 };
        let begins: Vec<Begin> = georadius.iter().map(|spec| spec.begin).collect();
        assert_eq!(begins, [Begin::Index(1), word("STORE"), word("STOREDIST")]);
    }
}
