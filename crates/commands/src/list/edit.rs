//! LREM and LINSERT: changes in the middle of a list.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::row::Kind;

use super::element::{self, index_of};
use super::{shift, store_taken, tail};
use crate::error::SYNTAX;
use crate::spec::{REMOVE, WRITE};
use crate::{Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec, args};

pub(super) const LREM: Spec = Spec {
    name: "lrem",
    summary: "Removes elements from a list. Deletes the list if the last element was removed.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
    arity: 4,
    flags: REMOVE,
    keys: Keys::ONE,
    access: KeyAccess::DELETE,
    syntax: "key count element",
    handler: Handler::Data(lrem),
    ..SPEC
};

pub(super) const LINSERT: Spec = Spec {
    name: "linsert",
    summary: "Inserts an element before or after another element in a list.",
    since: "2.2.0",
    group: Group::List,
    complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot, or to move if they \
        are more: those between the pivot and the nearer end.",
    arity: 5,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::INSERT,
    syntax: "key BEFORE|AFTER pivot element",
    handler: Handler::Data(linsert),
    ..SPEC
};

fn lrem(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let count = args::integer(&request[2])?;
    let key = &request[1];
    let Some(mut list) = cx.collection(key, Kind::List)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let max = match count {
        0 => list.size,
        count => count.unsigned_abs(),
    };
    let direction = if count < 0 {
        Direction::Reverse
    } else {
        Direction::Forward
    };
    let mut found = find(cx, &list, &request[3], max, direction)?;
    cx.reply.integer(found.len() as i64);
    if found.is_empty() {
        return Ok(());
    }
    if direction == Direction::Reverse {
        found.reverse();
    }
    shift::remove(cx, &mut list, &found)?;
    store_taken(cx, key, &mut list, KeyEvent::LRem)
}

fn linsert(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let after = args::is(&request[2], "AFTER");
    if !after && !args::is(&request[2], "BEFORE") {
        return Err(SYNTAX);
    }
    let key = &request[1];
    let Some(mut list) = cx.collection(key, Kind::List)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let Some(&pivot) = find(cx, &list, &request[3], 1, Direction::Forward)?.first() else {
        cx.reply.integer(-1);
        return Ok(());
    };
    let gap = shift::open_gap(cx, &mut list, pivot + u64::from(after))?;
    cx.put_element(&mut list, &gap.to_be_bytes(), &request[4])?;
    cx.put_collection(key, &mut list)?;
    cx.modified(KeyEvent::LInsert, key);
    cx.reply.integer(list.size as i64);
    Ok(())
}

/// The indexes of the first `max` elements that are equal to `element`, seen in this direction.
fn find(
    cx: &mut Cx<'_>,
    list: &Collection,
    element: &[u8],
    max: u64,
    direction: Direction,
) -> Result<Vec<u64>, CommandError> {
    let (lower, upper) = element::bounds(&(list.head..tail(list)?));
    let mut scan = cx.scan(list, &lower, Some(&upper), direction)?;
    let mut found = Vec::new();
    while (found.len() as u64) < max
        && let Some((key, value)) = scan.next()?
    {
        if value == element {
            found.push(index_of(key)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn lrem_removes_from_either_end() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("rpush k a x b x c x d x");
            assert_eq!(bench.run("lrem k 1 x"), ":1|");
            assert_eq!(bench.heard, ["lrem k"]);
            assert_eq!(bench.run("lrem k -2 x"), ":2|");
            assert_eq!(bench.run("lrange k 0 -1"), "*5|$1|a|$1|b|$1|x|$1|c|$1|d|");
            assert_eq!(bench.run("lrem k 5 y"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("lrem k 0 x"), ":1|");
            assert_eq!(bench.run("lpush k first"), ":5|");
            assert_eq!(bench.run("rpush k last"), ":6|");
            assert_eq!(bench.run("lrange k 0 -1"), "*6|$5|first|$1|a|$1|b|$1|c|$1|d|$4|last|");
            bench.run("rpush same a a a");
            assert_eq!(bench.run("lrem same -9223372036854775808 a"), ":3|");
            assert_eq!(bench.heard, ["lrem same", "del same"]);
            assert_eq!(bench.run("llen same"), ":0|");
            assert_eq!(bench.run("lrem same 0 a"), ":0|");
            assert_eq!(
                bench.run("lrem same a a"),
                "-ERR value is not an integer or out of range|"
            );
        }
    }

    #[test]
    fn linsert_opens_a_gap() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("rpush k a b c d e");
            assert_eq!(bench.run("linsert k before a 1"), ":6|");
            assert_eq!(bench.heard, ["ready k", "linsert k"]);
            assert_eq!(bench.run("linsert k AFTER a 2"), ":7|");
            assert_eq!(bench.run("linsert k after e 3"), ":8|");
            assert_eq!(bench.run("linsert k before e 4"), ":9|");
            assert_eq!(bench.run("linsert k before x 5"), ":-1|");
            assert_eq!(
                bench.run("lrange k 0 -1"),
                "*9|$1|1|$1|a|$1|2|$1|b|$1|c|$1|d|$1|4|$1|e|$1|3|"
            );
            assert_eq!(bench.run("linsert nothing after a 2"), ":0|");
            assert_eq!(bench.run("linsert nothing at a 2"), "-ERR syntax error|");
        }
    }

    #[test]
    fn long_sides_move_in_chunks() {
        let mut bench = Bench::new();
        let mut model: Vec<String> = (0..3000)
            .map(|n| if n % 7 == 3 { "x".into() } else { format!("e{n}") })
            .collect();
        let args: Vec<String> = ["rpush".into(), "k".into()].into_iter().chain(model.clone()).collect();
        bench.run_args(&args);
        let check = |bench: &mut Bench, model: &[String]| {
            let expected = model.iter().fold(format!("*{}|", model.len()), |text, e| {
                format!("{text}${}|{e}|", e.len())
            });
            assert!(bench.run("lrange k 0 -1") == expected);
        };
        for pivot in ["e1400", "e1600"] {
            bench.run(&format!("linsert k before {pivot} new"));
            let at = model.iter().position(|e| e == pivot).unwrap();
            model.insert(at, "new".into());
            check(&mut bench, &model);
        }
        bench.run("lrem k 0 x");
        model.retain(|e| e != "x");
        check(&mut bench, &model);
    }
}
