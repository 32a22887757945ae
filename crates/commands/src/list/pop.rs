//! LPOP, RPOP and LMPOP.

use std::ops::Range;

use haypile_resp::{Request, parse_i64};
use haypile_store::Direction;
use haypile_store::row::Kind;

use super::element;
use super::{End, pop, store_taken, tail};
use crate::error::SYNTAX;
use crate::spec::{REMOVE, REMOVE_FAST};
use crate::{Collection, CommandError, Cx, Flags, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec, args};

pub(super) const LPOP: Spec = Spec {
    name: "lpop",
    summary: "Returns the first elements in a list after removing them. Deletes the list if the last element was \
        popped.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) where N is the number of elements returned",
    arity: -2,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::TAKE,
    syntax: "key [count]",
    handler: Handler::Data(|cx, request| pop_command(cx, request, End::Left)),
    ..SPEC
};

pub(super) const RPOP: Spec = Spec {
    name: "rpop",
    summary: "Returns the last elements in a list after removing them. Deletes the list if the last element was \
        popped.",
    access: KeyAccess::TAKE,
    handler: Handler::Data(|cx, request| pop_command(cx, request, End::Right)),
    ..LPOP
};

pub(super) const LMPOP: Spec = Spec {
    name: "lmpop",
    summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was \
        popped.",
    since: "7.0.0",
    group: Group::List,
    complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    arity: -4,
    flags: REMOVE.or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 1,
        also: None,
    },
    access: KeyAccess::TAKE,
    syntax: "numkeys key [key ...] LEFT|RIGHT [COUNT count]",
    handler: Handler::Data(lmpop),
    ..SPEC
};

fn pop_command(cx: &mut Cx<'_>, request: &Request, end: End) -> Outcome {
    if request.len() > 3 {
        let name = end.pop_event().name();
        return Err(CommandError::reply(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    let count = request.get(2).map(args::non_negative).transpose()?;
    let key = &request[1];
    let Some(mut list) = cx.collection(key, Kind::List)? else {
        match count {
            Some(_) => cx.reply.null_array(),
            None => cx.reply.null(),
        }
        return Ok(());
    };
    match count {
        None => {
            let value = pop(cx, &mut list, end)?;
            cx.reply.bulk(&value);
        }
        Some(0) => {
            cx.reply.array(0);
            return Ok(());
        }
        Some(count) => pop_many(cx, &mut list, end, count)?,
    }
    store_taken(cx, key, &mut list, end.pop_event())
}

/// Takes up to `count` elements from an end and replies with an array of them. The row is for the caller to store.
fn pop_many(cx: &mut Cx<'_>, list: &mut Collection, end: End, count: u64) -> Outcome {
    let count = count.min(list.size);
    let (head, tail) = (list.head, tail(list)?);
    let (indexes, direction) = match end {
        End::Left => (head..head + count, Direction::Forward),
        End::Right => (tail - count..tail, Direction::Reverse),
    };
    element::reply_with(cx, list, indexes.clone(), direction)?;
    // Of a list that goes as a whole the elements are collected later.
    if count < list.size {
        for index in indexes.clone() {
            cx.delete_element(list, &index.to_be_bytes())?;
        }
    }
    if end == End::Left {
        list.head = indexes.end;
    }
    list.size -= count;
    Ok(())
}

/// Takes up to `count` elements and replies with the key and an array of them.
pub(super) fn pop_with_key(cx: &mut Cx<'_>, key: &[u8], mut list: Collection, end: End, count: u64) -> Outcome {
    cx.reply.array(2);
    cx.reply.bulk(key);
    pop_many(cx, &mut list, end, count)?;
    store_taken(cx, key, &mut list, end.pop_event())
}

/// What LMPOP and BLMPOP are asked for.
pub(super) struct ManyKeys {
    /// Where the keys stand in the request.
    pub(super) keys: Range<usize>,
    pub(super) end: End,
    pub(super) count: u64,
}

impl ManyKeys {
    /// Reads the arguments from the number of keys on.
    pub(super) fn parse(request: &Request, count_at: usize) -> Result<Self, CommandError> {
        let positive = |arg: &[u8], text: &'static str| {
            parse_i64(arg)
                .filter(|&n| n > 0)
                .map(|n| n as u64)
                .ok_or(CommandError::reply(text))
        };
        let keys = positive(&request[count_at], "ERR numkeys should be greater than 0")?;
        let end_at = usize::try_from(keys)
            .ok()
            .and_then(|keys| keys.checked_add(count_at + 1))
            .ok_or(SYNTAX)?;
        let end = End::parse(request.get(end_at).ok_or(SYNTAX)?)?;
        let count = match request.get(end_at + 1) {
            None => 1,
            Some(option) if args::is(option, "COUNT") => {
                let count = request.get(end_at + 2).ok_or(SYNTAX)?;
                positive(count, "ERR count should be greater than 0")?
            }
            Some(_) => return Err(SYNTAX),
        };
        if request.len() > end_at + 3 {
            return Err(SYNTAX);
        }
        Ok(ManyKeys {
            keys: count_at + 1..end_at,
            end,
            count,
        })
    }
}

fn lmpop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let many = ManyKeys::parse(request, 1)?;
    for at in many.keys {
        let key = &request[at];
        if let Some(list) = cx.collection(key, Kind::List)? {
            return pop_with_key(cx, key, list, many.end, many.count);
        }
    }
    cx.reply.null_array();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn elements_come_from_either_end() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            let many: Vec<_> = (10..40).map(|n| n.to_string()).collect();
            let reply = |elements: &[String]| elements.iter().map(|e| format!("$2|{e}|")).collect::<String>();
            bench.run(&format!("rpush many {}", many.join(" ")));
            assert_eq!(bench.run("lpop many 20"), format!("*20|{}", reply(&many[..20])));
            assert_eq!(bench.run("llen many"), ":10|");
            bench.run(&format!("rpush many {}", many.join(" ")));
            let reversed: Vec<_> = many.iter().rev().take(17).cloned().collect();
            assert_eq!(bench.run("rpop many 17"), format!("*17|{}", reply(&reversed)));
            assert_eq!(bench.run("lrange many 0 9"), format!("*10|{}", reply(&many[20..])));
            bench.run("rpush k a b c d e f g h i j k l m n o p");
            assert_eq!(bench.run("lpop k"), "$1|a|");
            assert_eq!(bench.heard, ["lpop k"]);
            assert_eq!(bench.run("rpop k"), "$1|p|");
            assert_eq!(bench.heard, ["rpop k"]);
            assert_eq!(bench.run("lpop k 2"), "*2|$1|b|$1|c|");
            assert_eq!(bench.run("rpop k 6"), "*6|$1|o|$1|n|$1|m|$1|l|$1|k|$1|j|");
            assert_eq!(bench.run("lpop k 5"), "*5|$1|d|$1|e|$1|f|$1|g|$1|h|");
            assert_eq!(bench.run("llen k"), ":1|");
            assert_eq!(bench.run("rpop k 0"), "*0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("rpop k 100"), "*1|$1|i|");
            assert_eq!(bench.heard, ["rpop k", "del k"]);
            assert_eq!(bench.run("rpop k"), "$-1|");
            assert_eq!(bench.run("rpop k 1"), "*-1|");
            assert_eq!(bench.run("rpop k 0"), "*-1|");
            bench.run("rpush k x");
            assert_eq!(bench.run("lrange k 0 -1"), "*1|$1|x|");
            assert_eq!(bench.run("lpop k"), "$1|x|");
            assert_eq!(bench.heard, ["lpop k", "del k"]);
        }
    }

    #[test]
    fn counts_are_checked_before_the_key_is() {
        let mut bench = Bench::new();
        let not_positive = "-ERR value is out of range, must be positive|";
        assert_eq!(bench.run("lpop k -1"), not_positive);
        assert_eq!(bench.run("lpop k x"), not_positive);
        assert_eq!(
            bench.run("rpop k 1 2"),
            "-ERR wrong number of arguments for 'rpop' command|"
        );
    }

    #[test]
    fn lmpop_takes_from_the_first_list_that_there_is() {
        let mut bench = Bench::new();
        bench.run("rpush b 1 2 3");
        bench.run("rpush c 4");
        assert_eq!(bench.run("lmpop 3 a b c left"), "*2|$1|b|*1|$1|1|");
        assert_eq!(bench.heard, ["lpop b"]);
        assert_eq!(bench.run("lmpop 3 a b c RIGHT count 10"), "*2|$1|b|*2|$1|3|$1|2|");
        assert_eq!(bench.heard, ["rpop b", "del b"]);
        assert_eq!(bench.run("lmpop 3 a b c right"), "*2|$1|c|*1|$1|4|");
        assert_eq!(bench.run("lmpop 3 a b c right"), "*-1|");
        let numkeys = "numkeys should be greater than 0";
        let count = "count should be greater than 0";
        for (args, expected) in [
            ("0 a left", numkeys),
            ("x a left", numkeys),
            ("2 a left", "syntax error"),
            ("9223372036854775807 a left", "syntax error"),
            ("1 a up", "syntax error"),
            ("1 a left count", "syntax error"),
            ("1 a left x 1", "syntax error"),
            ("1 a left count 0", count),
            ("1 a left count x y", count),
            ("1 a left count 1 count 1", "syntax error"),
        ] {
            assert_eq!(bench.run(&format!("lmpop {args}")), format!("-ERR {expected}|"));
        }
    }
}
