//! BLPOP, BRPOP, BLMPOP, BLMOVE and BRPOPLPUSH: commands that wait for an element.

use std::ops::Range;

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::pop::{ManyKeys, pop_with_key};
use super::transfer::transfer;
use super::{End, pop, store_taken};
use crate::spec::{REMOVE, WRITE};
use crate::{Block, CommandError, Cx, Flags, Group, Handler, KeyAccess, Keys, OnTimeout, Outcome, SPEC, Spec, args};

pub(super) const BLPOP: Spec = Spec {
    name: "blpop",
    summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes \
        the list if the last element was popped.",
    since: "2.0.0",
    group: Group::List,
    complexity: "O(N) where N is the number of provided keys.",
    arity: -3,
    flags: REMOVE.or(Flags::BLOCKING),
    keys: Keys::Range {
        first: 1,
        last: -2,
        step: 1,
    },
    access: KeyAccess::TAKE,
    syntax: "key [key ...] timeout",
    handler: Handler::Data(|cx, request| pop_one(cx, request, End::Left)),
    ..SPEC
};

pub(super) const BRPOP: Spec = Spec {
    name: "brpop",
    summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes \
        the list if the last element was popped.",
    access: KeyAccess::TAKE,
    handler: Handler::Data(|cx, request| pop_one(cx, request, End::Right)),
    ..BLPOP
};

pub(super) const BLMOVE: Spec = Spec {
    name: "blmove",
    summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is \
        available otherwise. Deletes the list if the last element was moved.",
    since: "6.2.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 6,
    flags: WRITE.or(Flags::BLOCKING),
    keys: Keys::TWO,
    access: KeyAccess::MOVE,
    syntax: "source destination LEFT|RIGHT LEFT|RIGHT timeout",
    handler: Handler::Data(blmove),
    ..SPEC
};

pub(super) const BRPOPLPUSH: Spec = Spec {
    name: "brpoplpush",
    summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is \
        available otherwise. Deletes the list if the last element was popped.",
    since: "2.2.0",
    arity: 4,
    access: KeyAccess::MOVE,
    syntax: "source destination timeout",
    handler: Handler::Data(brpoplpush),
    ..BLMOVE
};

pub(super) const BLMPOP: Spec = Spec {
    name: "blmpop",
    summary: "Pops elements from the first list that has some. Blocks until an element is available otherwise. Deletes \
        the list if the last element was popped.",
    since: "7.0.0",
    group: Group::List,
    complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    arity: -5,
    flags: REMOVE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 2,
        also: None,
    },
    access: KeyAccess::TAKE,
    syntax: "timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]",
    handler: Handler::Data(blmpop),
    ..SPEC
};

fn pop_one(cx: &mut Cx<'_>, request: &Request, end: End) -> Outcome {
    let timeout_at = request.len() - 1;
    let timeout_ms = args::timeout(&request[timeout_at])?;
    for at in 1..timeout_at {
        let key = &request[at];
        let Some(mut list) = cx.source(key, Kind::List)? else {
            continue;
        };
        let value = pop(cx, &mut list, end)?;
        cx.reply.array(2);
        cx.reply.bulk(key);
        cx.reply.bulk(&value);
        return store_taken(cx, key, &mut list, end.pop_event());
    }
    wait(cx, request, 1..timeout_at, timeout_ms)
}

fn blmpop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let many = ManyKeys::parse(request, 2)?;
    let timeout_ms = args::timeout(&request[1])?;
    for at in many.keys.clone() {
        let key = &request[at];
        if let Some(list) = cx.source(key, Kind::List)? {
            return pop_with_key(cx, key, list, many.end, many.count);
        }
    }
    wait(cx, request, many.keys, timeout_ms)
}

fn blmove(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (from, to) = (End::parse(&request[3])?, End::parse(&request[4])?);
    transfer_or_wait(cx, request, from, to, 5)
}

fn brpoplpush(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    transfer_or_wait(cx, request, End::Right, End::Left, 3)
}

fn transfer_or_wait(cx: &mut Cx<'_>, request: &Request, from: End, to: End, timeout_at: usize) -> Outcome {
    let timeout_ms = args::timeout(&request[timeout_at])?;
    match cx.source(&request[1], Kind::List)? {
        Some(list) => transfer(cx, list, request, from, to),
        // As in Redis: a null for who must not wait, a null array for who has waited in vain. RESP2 tells them apart.
        None if !cx.may_block => {
            cx.reply.null();
            Ok(())
        }
        None => wait(cx, request, 1..2, timeout_ms),
    }
}

/// Nothing is there: lets the client wait for these keys, or replies at once where it must not.
fn wait(cx: &mut Cx<'_>, request: &Request, keys: Range<usize>, timeout_ms: Option<u64>) -> Outcome {
    if cx.may_block {
        return Err(CommandError::Block(Block {
            keys: keys.map(|at| request[at].to_vec()).collect(),
            kind: Some(Kind::List),
            timeout_ms,
            on_timeout: OnTimeout::NullArray,
        }));
    }
    OnTimeout::NullArray.write(cx.reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn what_is_there_is_taken_at_once() {
        let mut bench = Bench::new();
        bench.run("rpush b 1 2 3 4 5 6");
        assert_eq!(bench.run("blpop a b a 0"), "*2|$1|b|$1|1|");
        assert_eq!(bench.heard, ["lpop b"]);
        assert_eq!(bench.run("brpop a b 0.1"), "*2|$1|b|$1|6|");
        assert_eq!(bench.run("blmpop 1 2 a b right count 2"), "*2|$1|b|*2|$1|5|$1|4|");
        assert_eq!(bench.run("blmove b c left right 1"), "$1|2|");
        assert_eq!(bench.heard, ["new c", "ready c", "rpush c", "lpop b"]);
        assert_eq!(bench.run("brpoplpush b c 1"), "$1|3|");
        assert_eq!(bench.heard, ["ready c", "lpush c", "rpop b", "del b"]);
        assert_eq!(bench.run("lrange c 0 -1"), "*2|$1|3|$1|2|");
    }

    #[test]
    fn otherwise_the_client_waits() {
        let mut bench = Bench::new();
        for (command, ms) in [
            ("blpop a b 0", "None"),
            ("brpop a 0.0015", "Some(2)"),
            ("blmpop 2 2 a b left", "Some(2000)"),
            ("blmove a b left left 0.5", "Some(500)"),
            ("brpoplpush a b 1", "Some(1000)"),
        ] {
            assert_eq!(bench.run(command), format!("+BLOCK {ms}|"));
        }
    }

    #[test]
    fn in_a_transaction_nobody_waits() {
        let mut bench = Bench::new();
        bench.may_block = false;
        assert_eq!(bench.run("blpop a 0"), "*-1|");
        assert_eq!(bench.run("brpop a b 0"), "*-1|");
        assert_eq!(bench.run("blmpop 0 1 a left"), "*-1|");
        assert_eq!(bench.run("blmove a b left left 0"), "$-1|");
        assert_eq!(bench.run("brpoplpush a b 0"), "$-1|");
        bench.version = haypile_resp::Version::Resp3;
        assert_eq!(bench.run("blpop a 0"), "_|");
        assert_eq!(bench.run("brpoplpush a b 0"), "_|");
    }

    #[test]
    fn arguments_are_checked_first() {
        let mut bench = Bench::new();
        for (command, error) in [
            ("blpop a x", "timeout is not a float or out of range"),
            ("brpop a -1", "timeout is negative"),
            ("blmove a b left up x", "syntax error"),
            ("blmove a b left right x", "timeout is not a float or out of range"),
            ("brpoplpush a b -1", "timeout is negative"),
            ("blmpop x 0 a left", "numkeys should be greater than 0"),
            ("blmpop x 1 a left count 0", "count should be greater than 0"),
            ("blmpop x 1 a left", "timeout is not a float or out of range"),
        ] {
            assert_eq!(bench.run(command), format!("-ERR {error}|"), "{command}");
        }
    }
}
