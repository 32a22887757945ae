//! LMOVE and RPOPLPUSH: an element goes from one list to another.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::element;
use super::{End, FULL, damaged, pop, push, store_taken, tail};
use crate::spec::WRITE;
use crate::{Collection, Cx, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec};

pub(super) const LMOVE: Spec = Spec {
    name: "lmove",
    summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the \
        last element was moved.",
    since: "6.2.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 5,
    flags: WRITE,
    keys: Keys::TWO,
    access: KeyAccess::MOVE,
    syntax: "source destination LEFT|RIGHT LEFT|RIGHT",
    handler: Handler::Data(lmove),
    ..SPEC
};

pub(super) const RPOPLPUSH: Spec = Spec {
    name: "rpoplpush",
    summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if \
        the last element was popped.",
    since: "1.2.0",
    group: Group::List,
    complexity: "O(1)",
    arity: 3,
    flags: WRITE,
    keys: Keys::TWO,
    access: KeyAccess::MOVE,
    syntax: "source destination",
    handler: Handler::Data(rpoplpush),
    ..SPEC
};

fn lmove(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (from, to) = (End::parse(&request[3])?, End::parse(&request[4])?);
    transfer_or_null(cx, request, from, to)
}

fn rpoplpush(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    transfer_or_null(cx, request, End::Right, End::Left)
}

fn transfer_or_null(cx: &mut Cx<'_>, request: &Request, from: End, to: End) -> Outcome {
    match cx.collection(&request[1], Kind::List)? {
        Some(list) => transfer(cx, list, request, from, to),
        None => {
            cx.reply.null();
            Ok(())
        }
    }
}

/// Moves an element of `list`, the list at the request's first key, to the list at the second, and replies with it.
pub(super) fn transfer(cx: &mut Cx<'_>, mut list: Collection, request: &Request, from: End, to: End) -> Outcome {
    let (source, destination) = (&request[1], &request[2]);
    if source == destination {
        return rotate(cx, list, source, from, to);
    }
    let mut target = cx.collection_or_new(destination, Kind::List)?;
    let value = pop(cx, &mut list, from)?;
    push(cx, &mut target, to, [&value[..]])?;
    cx.put_collection(destination, &mut target)?;
    cx.modified(to.push_event(), destination);
    cx.reply.bulk(&value);
    store_taken(cx, source, &mut list, from.pop_event())
}

/// Moves an element within a list.
fn rotate(cx: &mut Cx<'_>, mut list: Collection, key: &[u8], from: End, to: End) -> Outcome {
    let (head, tail) = (list.head, tail(&list)?);
    let last = tail.checked_sub(1).ok_or_else(damaged)?;
    let index = match from {
        End::Left => head,
        End::Right => last,
    };
    let value = element::read(cx, &list, index)?;
    if from != to && list.size > 1 {
        let (new_head, place) = match to {
            End::Left => {
                let before = head.checked_sub(1).ok_or(FULL)?;
                (before, before)
            }
            End::Right => {
                tail.checked_add(1).ok_or(FULL)?;
                (head + 1, tail)
            }
        };
        cx.delete_element(&mut list, &index.to_be_bytes())?;
        cx.put_element(&mut list, &place.to_be_bytes(), &value)?;
        list.head = new_head;
    }
    // Also if nothing has moved: that it was a write has to stand in the log.
    list.write_anyway();
    cx.put_collection(key, &mut list)?;
    cx.modified(to.push_event(), key);
    cx.event(from.pop_event(), key);
    cx.reply.bulk(&value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn elements_move_between_all_ends() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("rpush a 1 2 3 4 5");
            assert_eq!(bench.run("rpoplpush a b"), "$1|5|");
            assert_eq!(bench.heard, ["new b", "ready b", "lpush b", "rpop a"]);
            assert_eq!(bench.run("lmove a b left left"), "$1|1|");
            assert_eq!(bench.heard, ["ready b", "lpush b", "lpop a"]);
            assert_eq!(bench.run("lmove a b LEFT RIGHT"), "$1|2|");
            assert_eq!(bench.run("lmove a b right right"), "$1|4|");
            assert_eq!(bench.run("lrange b 0 -1"), "*4|$1|1|$1|5|$1|2|$1|4|");
            assert_eq!(bench.run("lmove a b right left"), "$1|3|");
            assert_eq!(bench.heard, ["ready b", "lpush b", "rpop a", "del a"]);
            assert_eq!(bench.run("lrange b 0 -1"), "*5|$1|3|$1|1|$1|5|$1|2|$1|4|");
            assert_eq!(bench.run("rpoplpush a b"), "$-1|");
            assert_eq!(bench.run("lmove a b left up"), "-ERR syntax error|");
        }
    }

    #[test]
    fn a_list_rotates() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("rpush k 1 2 3");
            assert_eq!(bench.run("rpoplpush k k"), "$1|3|");
            assert_eq!(bench.heard, ["lpush k", "rpop k"]);
            assert_eq!(bench.run("lrange k 0 -1"), "*3|$1|3|$1|1|$1|2|");
            assert_eq!(bench.run("lmove k k left right"), "$1|3|");
            assert_eq!(bench.run("lmove k k left left"), "$1|1|");
            assert_eq!(bench.run("lmove k k right right"), "$1|3|");
            assert_eq!(bench.run("lrange k 0 -1"), "*3|$1|1|$1|2|$1|3|");
            bench.run("rpush one 1");
            assert_eq!(bench.run("lmove one one right left"), "$1|1|");
            assert_eq!(bench.heard, ["lpush one", "rpop one"]);
            assert_eq!(bench.run("lrange one 0 -1"), "*1|$1|1|");
        }
    }
}
