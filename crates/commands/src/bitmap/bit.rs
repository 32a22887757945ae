//! Single bits.

use haypile_resp::{Request, parse_i64};
use haypile_store::packed::StringPatch;

use super::bit_offset;
use crate::spec::{READ_FAST, WRITE};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const SETBIT: Spec = Spec {
    name: "setbit",
    summary: "Sets or clears the bit at an offset of a string value. The key is created if it does not exist.",
    since: "2.2.0",
    group: Group::Bitmap,
    complexity: "O(N) where N is the length of the string.",
    arity: 4,
    flags: WRITE,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key offset value:integer",
    handler: Handler::Data(setbit),
    ..SPEC
};

fn setbit(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let offset = bit_offset(cx, &request[2])?;
    let on = match parse_i64(&request[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(CommandError::reply("ERR bit is not an integer or out of range")),
    };
    let row = cx.string(key)?;
    let value = row.as_ref().map_or(&[][..], |row| row.body());
    let byte = (offset / 8) as usize;
    let mask = 0x80 >> (offset % 8);
    let old = value.get(byte).is_some_and(|byte| byte & mask != 0);
    if byte >= value.len() || old != on {
        let before = value.get(byte).copied().unwrap_or(0);
        let after = [if on { before | mask } else { before & !mask }];
        let mut patch = StringPatch::default();
        patch.set(byte, &after);
        cx.patch_string(key, row, &patch)?;
        cx.modified(KeyEvent::SetBit, key);
    }
    cx.reply.integer(i64::from(old));
    Ok(())
}

pub(super) const GETBIT: Spec = Spec {
    name: "getbit",
    summary: "Returns the bit at an offset of a string value.",
    since: "2.2.0",
    group: Group::Bitmap,
    complexity: "O(1)",
    arity: 3,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key offset",
    handler: Handler::Data(getbit),
    ..SPEC
};

fn getbit(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let offset = bit_offset(cx, &request[2])?;
    let row = cx.string(&request[1])?;
    let byte = row
        .as_ref()
        .and_then(|row| row.body().get((offset / 8) as usize))
        .unwrap_or(&0);
    cx.reply.integer(i64::from(byte >> (7 - offset % 8) & 1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn bits_are_set_and_read() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("getbit k 7"), ":0|");
            assert_eq!(bench.run("setbit k 6 1"), ":0|");
            assert_eq!(bench.heard, ["new k", "setbit k"]);
            assert_eq!(bench.run("setbit k 6 1"), ":1|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("get k"), "$1|\u{2}|");
            assert_eq!(bench.run("setbit k 20 0"), ":0|");
            assert_eq!(bench.heard, ["setbit k"]);
            assert_eq!(bench.run("strlen k"), ":3|");
            assert_eq!(bench.run("getbit k 6"), ":1|");
            assert_eq!(bench.run("getbit k 5"), ":0|");
            assert_eq!(bench.run("getbit k 99999"), ":0|");
            assert_eq!(bench.run("setbit k 6 0"), ":1|");
            assert_eq!(bench.run("getbit k 6"), ":0|");
        }
    }

    #[test]
    fn offsets_and_bits_are_checked() {
        let mut bench = Bench::new();
        for offset in ["-1", "4294967296", "x"] {
            let expected = "-ERR bit offset is not an integer or out of range|";
            assert_eq!(bench.run(&format!("setbit k {offset} 1")), expected);
            assert_eq!(bench.run(&format!("getbit k {offset}")), expected);
        }
        for bit in ["2", "-1", "x"] {
            assert_eq!(
                bench.run(&format!("setbit k 0 {bit}")),
                "-ERR bit is not an integer or out of range|"
            );
        }
    }
}
