//! LRANGE and LTRIM: ranges of positions.

use std::ops::Range;

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::packed::PackedList;
use haypile_store::row::Kind;

use super::element;
use super::{damaged, store_taken, tail};
use crate::cx::Found;
use crate::spec::{READ, REMOVE};
use crate::{
    Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, LIST_MIDDLE, Outcome, SPEC, Spec, args,
};

pub(super) const LRANGE: Spec = Spec {
    name: "lrange",
    summary: "Returns a range of elements from a list.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(log(S)+N) where S is the length of the list and N is the number of elements in the specified range.",
    arity: 4,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key start:integer stop:integer",
    handler: Handler::Data(lrange),
    ..SPEC
};

pub(super) const LTRIM: Spec = Spec {
    name: "ltrim",
    summary: "Removes elements from both ends of a list. Deletes the list if all elements were trimmed.",
    since: "1.0.0",
    group: Group::List,
    complexity: "O(N) where N is the number of elements to be removed by the operation.",
    arity: 4,
    flags: REMOVE,
    keys: Keys::ONE,
    access: KeyAccess::DELETE,
    syntax: "key start:integer stop:integer",
    handler: Handler::Data(ltrim),
    ..SPEC
};

fn lrange(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (start, stop) = (args::integer(&request[2])?, args::integer(&request[3])?);
    match cx.find(&request[1], Kind::List)? {
        None => cx.reply.array(0),
        Some(Found::Packed(row)) => {
            let list = PackedList::read(row.body())?;
            let positions = args::range(start, stop, list.len() as u64);
            let count = (positions.end - positions.start) as usize;
            cx.reply.array(count);
            for element in list.iter_from(positions.start as usize)?.take(count) {
                cx.reply.bulk(element?);
            }
        }
        Some(Found::Spread(list)) => {
            let indexes = indexes(&list, start, stop)?;
            element::reply_with(cx, &list, indexes, Direction::Forward)?;
        }
    }
    Ok(())
}

fn ltrim(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (start, stop) = (args::integer(&request[2])?, args::integer(&request[3])?);
    let key = &request[1];
    let Some(mut list) = cx.collection(key, Kind::List)? else {
        cx.reply.ok();
        return Ok(());
    };
    let kept = indexes(&list, start, stop)?;
    cx.reply.ok();
    match kept.end - kept.start {
        kept if kept == list.size => {
            // Redis tells of it although nothing is different.
            cx.modified(KeyEvent::LTrim, key);
            return Ok(());
        }
        0 => list.size = 0,
        _ => trim(cx, key, &mut list, kept)?,
    }
    store_taken(cx, key, &mut list, KeyEvent::LTrim)
}

/// The indexes of a range of positions; empty if it selects nothing.
fn indexes(list: &Collection, start: i64, stop: i64) -> Result<Range<u64>, CommandError> {
    tail(list)?;
    let positions = args::range(start, stop, list.size);
    Ok(list.head + positions.start..list.head + positions.end)
}

/// What an effect takes in the log beside key and value, bytes, about.
const EFFECT_BYTES: u64 = 8;
/// What an element's key takes, bytes, about.
const KEY_BYTES: u64 = 32;

/// Survivors of a trim that are held in memory on their way to a new id, bytes.
const MOVED_BYTES_MAX: u64 = 16 << 20;

/// Reduces a list to the elements with these indexes, which are some but not all. Either what is cut off is deleted, or
/// the survivors move to a new id and the old one is collected later, whichever writes less.
fn trim(cx: &mut Cx<'_>, key: &[u8], list: &mut Collection, kept: Range<u64>) -> Outcome {
    let size = kept.end - kept.start;
    let cut = list.size - size;
    if size < cut && !list.is_packed() {
        let per_element = KEY_BYTES + EFFECT_BYTES;
        let bytes_max = (cut - size).saturating_mul(per_element).min(MOVED_BYTES_MAX);
        if let Some(values) = read_within(cx, list, &kept, bytes_max)? {
            return move_to_new_id(cx, key, list, &values);
        }
    }
    for index in (list.head..kept.start).chain(kept.end..tail(list)?) {
        cx.delete_element(list, &index.to_be_bytes())?;
    }
    list.head = kept.start;
    list.size = size;
    Ok(())
}

/// The elements with these indexes, unless they have more than `bytes_max` together.
fn read_within(
    cx: &mut Cx<'_>,
    list: &Collection,
    indexes: &Range<u64>,
    bytes_max: u64,
) -> Result<Option<Vec<Box<[u8]>>>, CommandError> {
    let (lower, upper) = element::bounds(indexes);
    let mut scan = cx.scan(list, &lower, Some(&upper), Direction::Forward)?;
    let mut values = Vec::new();
    let mut bytes = 0;
    while let Some((_, value)) = scan.next()? {
        bytes += value.len() as u64;
        if bytes > bytes_max {
            return Ok(None);
        }
        values.push(value.into());
    }
    if values.len() as u64 != indexes.end - indexes.start {
        return Err(damaged().into());
    }
    Ok(Some(values))
}

fn move_to_new_id(cx: &mut Cx<'_>, key: &[u8], list: &mut Collection, values: &[Box<[u8]>]) -> Outcome {
    let mut moved = cx.new_collection(key, Kind::List, list.old);
    moved.succeed(list);
    moved.size = values.len() as u64;
    for (index, value) in (LIST_MIDDLE..).zip(values) {
        cx.put_element(&mut moved, &index.to_be_bytes(), value)?;
    }
    *list = moved;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range|";

    fn list_of(bench: &mut Bench, key: &str, elements: impl Iterator<Item = u32>) {
        let mut args = vec!["rpush".to_owned(), key.to_owned()];
        args.extend(elements.map(|n| n.to_string()));
        bench.run_args(&args);
    }

    fn array(elements: impl ExactSizeIterator<Item = u32>) -> String {
        let header = format!("*{}|", elements.len());
        elements.fold(header, |text, n| {
            let n = n.to_string();
            format!("{text}${}|{n}|", n.len())
        })
    }

    #[test]
    fn ranges_are_clamped() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            list_of(&mut bench, "k", 0..20);
            assert_eq!(bench.run("lrange k 0 -1"), array(0..20));
            assert_eq!(bench.run("lrange k 3 12"), array(3..13));
            assert_eq!(bench.run("lrange k -3 100"), array(17..20));
            assert_eq!(bench.run("lrange k -100 0"), array(0..1));
            assert_eq!(bench.run("lrange k -100 9223372036854775807"), array(0..20));
            assert_eq!(bench.run("lrange k 5 4"), "*0|");
            assert_eq!(bench.run("lrange k 20 30"), "*0|");
            assert_eq!(bench.run("lrange k 0 -21"), "*0|");
            assert_eq!(bench.run("lrange nothing 0 -1"), "*0|");
            assert_eq!(bench.run("lrange nothing a -1"), NOT_INTEGER);
        }
    }

    #[test]
    fn a_trim_keeps_a_range() {
        let script = [
            ("1 -2", 1..29),
            ("-100 100", 1..29),
            ("2 27", 3..29),
            ("10 13", 13..17), // the survivors move
            ("1 2", 14..16),
        ];
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            list_of(&mut bench, "k", 0..30);
            for (range, kept) in &script {
                assert_eq!(bench.run(&format!("ltrim k {range}")), "+OK|");
                assert_eq!(bench.run("lrange k 0 -1"), array(kept.clone()), "{range}");
                assert_eq!(bench.run("llen k"), format!(":{}|", kept.len()));
            }
            bench.run("lpush k 13");
            bench.run("rpush k 16");
            assert_eq!(bench.run("lrange k 0 -1"), array(13..17));
            assert_eq!(bench.run("ltrim k 2 1"), "+OK|");
            assert_eq!(bench.heard, ["ltrim k", "del k"]);
            assert_eq!(bench.run("lrange k 0 -1"), "*0|");
            assert_eq!(bench.run("ltrim k 0 1"), "+OK|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("ltrim k 0 x"), NOT_INTEGER);
        }
    }

    #[test]
    fn large_survivors_stay_where_they_are() {
        let mut bench = Bench::new();
        let large = "x".repeat(10_000);
        list_of(&mut bench, "k", 0..100);
        bench.run_args(&["lset", "k", "50", &large]);
        assert_eq!(bench.run("ltrim k 50 51"), "+OK|");
        assert_eq!(bench.run("lrange k 0 -1"), format!("*2|$10000|{large}|$2|51|"));
    }
}
