//! Integers in a string: BITFIELD.

use std::collections::BTreeMap;

use haypile_resp::{Request, parse_i64};
use haypile_store::packed::StringPatch;

use super::integer::{Overflow, WINDOW_BYTES, Width};
use super::{bit_offset, checked_offset};
use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::spec::{READ_FAST, WRITE};
use crate::{Access, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const BITFIELD: Spec = Spec {
    name: "bitfield",
    summary: "Performs arbitrary operations on integers of any width within a string value.",
    since: "3.2.0",
    group: Group::Bitmap,
    complexity: "O(1) for each operation, and O(N) for a change, where N is the length of the string.",
    arity: -2,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::ByOptions(Access::READ_UPDATE, access),
    syntax: "key [GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] <SET encoding offset value:integer|INCRBY encoding offset increment:integer> ...]",
    handler: Handler::Data(bitfield),
    ..SPEC
};

pub(super) const BITFIELD_RO: Spec = Spec {
    name: "bitfield_ro",
    summary: "Reads integers of any width within a string value.",
    since: "6.0.0",
    complexity: "O(1) for each operation.",
    flags: READ_FAST,
    access: KeyAccess::ByFlags,
    syntax: "key [GET encoding offset [GET encoding offset ...]]",
    handler: Handler::Data(bitfield_ro),
    ..BITFIELD
};

/// Without SET and INCRBY it only reads.
fn access(request: &Request) -> Access {
    let writes = |word: &[u8]| is(word, "SET") || is(word, "INCRBY");
    match request.iter().skip(2).any(writes) {
        true => Access::READ_UPDATE,
        false => Access::READ,
    }
}

struct Operation {
    width: Width,
    offset: u64,
    /// None to read.
    change: Option<Change>,
}

struct Change {
    /// Added to the value there, rather than set in its place.
    add: bool,
    number: i64,
    overflow: Overflow,
}

/// Reads all operations, so that none is carried out if one of them makes no sense.
fn parse(cx: &Cx<'_>, request: &Request) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while let Some(word) = request.get(at) {
        let left = request.len() - at - 1;
        if is(word, "OVERFLOW") && left >= 1 {
            overflow = parse_overflow(&request[at + 1])?;
            at += 2;
            continue;
        }
        let arguments = match () {
            _ if is(word, "GET") => 2,
            _ if is(word, "SET") || is(word, "INCRBY") => 3,
            _ => return Err(SYNTAX),
        };
        if left < arguments {
            return Err(SYNTAX);
        }
        let width = Width::parse(&request[at + 1]).ok_or_else(|| {
            CommandError::reply(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        })?;
        let offset = match &request[at + 2] {
            [b'#', index @ ..] => {
                let offset = parse_i64(index).and_then(|index| index.checked_mul(i64::from(width.bits)));
                checked_offset(cx, offset)?
            }
            offset => bit_offset(cx, offset)?,
        };
        let change = match arguments {
            2 => None,
            _ => Some(Change {
                add: is(word, "INCRBY"),
                number: integer(&request[at + 3])?,
                overflow,
            }),
        };
        operations.push(Operation { width, offset, change });
        at += 1 + arguments;
    }
    Ok(operations)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    match () {
        _ if is(word, "WRAP") => Ok(Overflow::Wrap),
        _ if is(word, "SAT") => Ok(Overflow::Saturate),
        _ if is(word, "FAIL") => Ok(Overflow::Fail),
        _ => Err(CommandError::reply("ERR Invalid OVERFLOW type specified")),
    }
}

fn bitfield_ro(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let operations = parse(cx, request)?;
    if operations.iter().any(|operation| operation.change.is_some()) {
        return Err(CommandError::reply("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_all(cx, &request[1], &operations)
}

fn bitfield(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let operations = parse(cx, request)?;
    let changed_bits = operations
        .iter()
        .filter(|operation| operation.change.is_some())
        .map(|operation| operation.offset + u64::from(operation.width.bits))
        .max();
    match changed_bits {
        None => read_all(cx, &request[1], &operations),
        Some(bits) => change_all(cx, &request[1], &operations, bits.div_ceil(8) as usize),
    }
}

fn read_all(cx: &mut Cx<'_>, key: &[u8], operations: &[Operation]) -> Outcome {
    let row = cx.string(key)?;
    let value = row.as_ref().map_or(&[][..], |row| row.body());
    cx.reply.array(operations.len());
    for operation in operations {
        cx.reply.integer(operation.width.read(value, operation.offset));
    }
    Ok(())
}

/// A string, and bytes of it that are others now; what is neither is zero. The string may be long, and what changes is little.
struct Changing<'v> {
    before: &'v [u8],
    bytes: BTreeMap<usize, u8>,
}

impl Changing<'_> {
    /// The bytes in which an integer stands, as many as the longest touches, and where they begin.
    fn window(&self, offset: u64) -> ([u8; WINDOW_BYTES], usize) {
        let start = (offset / 8) as usize;
        let byte = |at| self.bytes.get(&at).or(self.before.get(at)).copied().unwrap_or(0);
        (std::array::from_fn(|at| byte(start + at)), start)
    }

    fn read(&self, width: Width, offset: u64) -> i64 {
        let (window, _) = self.window(offset);
        width.read(&window, offset % 8)
    }

    fn write(&mut self, width: Width, offset: u64, number: i64) {
        let (before, start) = self.window(offset);
        let mut after = before;
        width.write(&mut after, offset % 8, number);
        let changed = before.iter().zip(after).enumerate();
        let changed = changed.filter(|(_, (before, after))| **before != *after);
        self.bytes.extend(changed.map(|(at, (_, after))| (start + at, after)));
    }
}

/// `len` is the length that the value has at least when all is done.
fn change_all(cx: &mut Cx<'_>, key: &[u8], operations: &[Operation], len: usize) -> Outcome {
    let row = cx.string(key)?;
    let mut value = Changing {
        before: row.as_ref().map_or(&[][..], |row| row.body()),
        bytes: BTreeMap::new(),
    };
    let grown = value.before.len() < len;
    if grown {
        value.bytes.insert(len - 1, 0);
    }
    let mut changed = false;
    cx.reply.array(operations.len());
    for Operation { width, offset, change } in operations {
        let before = value.read(*width, *offset);
        let Some(change) = change else {
            cx.reply.integer(before);
            continue;
        };
        let wanted = match change.add {
            true => i128::from(before) + i128::from(change.number),
            false => width.literal(change.number),
        };
        match width.fit(wanted, change.overflow) {
            None => cx.reply.null(),
            Some(after) => {
                value.write(*width, *offset, after);
                cx.reply.integer(if change.add { after } else { before });
                changed |= grown || before != after;
            }
        }
    }
    // As in Redis the value grows even if all operations failed, but nobody hears of that.
    if changed || grown {
        let bytes: Vec<(usize, [u8; 1])> = value.bytes.into_iter().map(|(at, byte)| (at, [byte])).collect();
        let mut patch = StringPatch::default();
        bytes.iter().for_each(|(at, byte)| patch.set(*at, byte));
        cx.patch_string(key, row, &patch)?;
    }
    if changed {
        cx.modified(KeyEvent::SetBit, key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn integers_are_read_and_changed() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("bitfield k"), "*0|");
            assert_eq!(bench.run("bitfield k get u8 0"), "*1|:0|");
            assert_eq!(bench.run("strlen k"), ":0|");
            assert_eq!(
                bench.run("bitfield k set i8 0 -100 set i8 #1 101 get u8 0 incrby i5 3 1"),
                "*4|:0|:0|:156|:-3|"
            );
            assert_eq!(bench.heard, ["new k", "setbit k"]);
            assert_eq!(bench.run("bitfield k set i8 #1 101"), "*1|:101|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("bitfield_ro k get i8 0 get u16 100"), "*2|:-99|:0|");
            assert_eq!(
                bench.run("bitfield_ro k set u8 0 1"),
                "-ERR BITFIELD_RO only supports the GET subcommand|"
            );
        }
    }

    #[test]
    fn overflows() {
        let mut bench = Bench::new();
        assert_eq!(
            bench.run("bitfield k incrby u2 0 1 overflow sat incrby u2 2 5 overflow fail incrby u2 4 4 incrby u2 4 3 overflow wrap incrby u2 4 2"),
            "*5|:1|:3|$-1|:3|:1|"
        );
        assert_eq!(bench.run("bitfield f overflow fail set u4 8 16"), "*1|$-1|");
        assert_eq!(bench.run("strlen f"), ":2|");
        assert_eq!(bench.run("bitfield f set i64 0 9223372036854775807"), "*1|:0|");
        assert_eq!(
            bench.run("bitfield f overflow sat incrby i64 0 1"),
            "*1|:9223372036854775807|"
        );
        assert_eq!(bench.run("bitfield f incrby i64 0 1"), "*1|:-9223372036854775808|");
        assert_eq!(
            bench.run("bitfield f overflow sat set u63 0 -1 get u63 0"),
            "*2|:4611686018427387904|:9223372036854775807|"
        );
    }

    #[test]
    fn bitfield_checks_its_arguments() {
        let mut bench = Bench::new();
        let kind = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.|";
        let offset = "-ERR bit offset is not an integer or out of range|";
        for (line, expected) in [
            ("bitfield k set u64 0 1", kind),
            ("bitfield k get x8 0", kind),
            ("bitfield k get u8 -1", offset),
            ("bitfield k get u8 #-1", offset),
            ("bitfield k get u8 4294967296", offset),
            ("bitfield k get u63 #9223372036854775807", offset),
            ("bitfield k get u8", "-ERR syntax error|"),
            ("bitfield k nothing u8 0", "-ERR syntax error|"),
            ("bitfield k overflow", "-ERR syntax error|"),
            ("bitfield k overflow break", "-ERR Invalid OVERFLOW type specified|"),
            ("bitfield k set u8 0 x", "-ERR value is not an integer or out of range|"),
            ("bitfield k set u8 0 1 get u8 x", offset),
        ] {
            assert_eq!(bench.run(line), expected, "{line}");
        }
        assert_eq!(bench.run("strlen k"), ":0|");
    }
}
