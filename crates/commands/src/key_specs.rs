//! Where a command's keys stand and what it does with them, as COMMAND INFO and COMMAND GETKEYSANDFLAGS show it.

use haypile_resp::Request;

use crate::{Access, Keys, Spec};

/// The keys of one sort that a command has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to them.
    pub access: Access,
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

/// A single key.
const ONE: Find = Find::Range { last: 0, step: 1 };

/// The keys of a command, sort by sort.
pub fn of(spec: &Spec) -> Vec<KeySpec> {
    let [first, others] = spec.access.described(spec.flags);
    let one = |access, at| KeySpec {
        access,
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
                access: others,
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
                access: first,
                begin: Begin::Index(at),
                find: Find::Range { last, step },
            }]
        }
        Keys::Counted { count_at, also } => {
            let counted = KeySpec {
                access: others,
                begin: Begin::Index(count_at),
                find: Find::Counted,
            };
            also.map(|at| one(first, at)).into_iter().chain([counted]).collect()
        }
        Keys::FirstAndBehind { words, from } => {
            let behind = words.iter().map(|&word| KeySpec {
                access: others,
                begin: Begin::Keyword { word, from },
                find: ONE,
            });
            std::iter::once(one(first, 1)).chain(behind).collect()
        }
    }
}

/// The indexes of a request's keys, each with what this request does with it.
pub fn with_access(spec: &Spec, request: &Request) -> Vec<(usize, Access)> {
    let [first, others] = spec.access.of(spec.flags, request);
    let keys = spec.keys.of(request);
    keys.into_iter()
        .enumerate()
        .map(|(n, at)| (at, if n == 0 { first } else { others }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn shown(line: &str) -> String {
        let request = Request::from_args(line.split(' '));
        let known = table::lookup(&request).unwrap();
        let keys = with_access(known.spec, &request);
        let words = |access: Access| access.names().collect::<Vec<_>>().join(" ");
        let one =
            |(at, access): (usize, Access)| format!("{} {}", String::from_utf8_lossy(&request[at]), words(access));
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
        let spec = |name: &str| of(table::find(name.as_bytes()).unwrap().spec);
        let range = |last, step| Find::Range { last, step };
        assert_eq!(
            spec("mset"),
            [KeySpec {
                access: Access::OVERWRITE,
                begin: Begin::Index(1),
                find: range(-1, 2)
            }]
        );
        let copy = spec("copy");
        assert_eq!((copy[0].begin, copy[0].find), (Begin::Index(1), range(0, 1)));
        assert_eq!((copy[1].begin, copy[1].find), (Begin::Index(2), range(0, 1)));
        assert_eq!(copy[1].access, Access::OVERWRITE);
        let georadius = spec("georadius");
        let word = |word| Begin::Keyword { word, from: 6 };
        let begins: Vec<Begin> = georadius.iter().map(|spec| spec.begin).collect();
        assert_eq!(begins, [Begin::Index(1), word("STORE"), word("STOREDIST")]);
    }
}
