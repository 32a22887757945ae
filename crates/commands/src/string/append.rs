//! Commands that change a part of a string.

use haypile_resp::Request;
use haypile_store::packed::StringPatch;

use super::check_length;
use crate::args::integer;
use crate::spec::{WRITE, WRITE_FAST};
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const APPEND: Spec = Spec {
    name: "append",
    summary: "Appends to the string value of a key. The key is created if it does not exist.",
    since: "2.0.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the whole string.",
    arity: 3,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::INSERT,
    syntax: "key value",
    handler: Handler::Data(append),
    ..SPEC
};

fn append(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (key, tail) = (&request[1], &request[2]);
    let len = match cx.string(key)? {
        None => {
            cx.put_string(key, None, tail, None)?;
            tail.len()
        }
        Some(row) => {
            let end = row.body().len();
            check_length(cx, end as u64, tail.len())?;
            let mut patch = StringPatch::default();
            patch.set(end, tail);
            cx.patch_string(key, Some(row), &patch)?
        }
    };
    cx.modified(KeyEvent::Append, key);
    cx.reply.integer(len as i64);
    Ok(())
}

pub(super) const SETRANGE: Spec = Spec {
    name: "setrange",
    summary: "Overwrites a part of a string value from an offset on. The key is created if it does not exist.",
    since: "2.2.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the whole string.",
    arity: 4,
    flags: WRITE,
    keys: Keys::ONE,
    syntax: "key offset value",
    handler: Handler::Data(setrange),
    ..SPEC
};

fn setrange(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (key, part) = (&request[1], &request[3]);
    let offset = u64::try_from(integer(&request[2])?).map_err(|_| CommandError::reply("ERR offset is out of range"))?;
    let row = cx.string(key)?;
    if part.is_empty() {
        cx.reply.integer(row.map_or(0, |row| row.body().len()) as i64);
        return Ok(());
    }
    check_length(cx, offset, part.len())?;
    let mut patch = StringPatch::default();
    // Checked: it is at most the longest string.
    patch.set(offset as usize, part);
    let len = cx.patch_string(key, row, &patch)?;
    cx.modified(KeyEvent::SetRange, key);
    cx.reply.integer(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn append_grows_a_string() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("append k ab"), ":2|");
            assert_eq!(bench.heard, ["new k", "append k"]);
            bench.run("getex k px 5");
            assert_eq!(bench.run("append k cd"), ":4|");
            assert_eq!(bench.run("get k"), "$4|abcd|");
            bench.now += 5;
            assert_eq!(bench.run("append k x"), ":1|");
        }
    }

    #[test]
    fn setrange_overwrites_and_pads() {
        let mut bench = Bench::new();
        assert_eq!(bench.run_args(&["setrange", "k", "5", ""]), ":0|");
        assert_eq!(bench.run("get k"), "$-1|");
        assert_eq!(bench.run("setrange k 2 ab"), ":4|");
        assert_eq!(bench.heard, ["new k", "setrange k"]);
        assert_eq!(bench.run("get k"), "$4|\0\0ab|");
        assert_eq!(bench.run("setrange k 1 xyzw"), ":5|");
        assert_eq!(bench.run("setrange k 0 A"), ":5|");
        assert_eq!(bench.run("get k"), "$5|Axyzw|");
        assert_eq!(bench.run_args(&["setrange", "k", "1", ""]), ":5|");
        assert_eq!(bench.run("setrange k -1 a"), "-ERR offset is out of range|");
        for offset in ["536870912", "9223372036854775807"] {
            assert_eq!(
                bench.run(&format!("setrange k {offset} a")),
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|"
            );
        }
        assert_eq!(
            bench.run("setrange k x a"),
            "-ERR value is not an integer or out of range|"
        );
    }
}
