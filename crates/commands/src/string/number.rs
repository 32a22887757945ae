//! Strings as numbers.

use haypile_resp::{LongDouble, Request};

use crate::args::integer;
use crate::error::NOT_FLOAT;
use crate::spec::WRITE_FAST;
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const INCR: Spec = Spec {
    name: "incr",
    summary: "Adds one to the integer value of a key. Zero is the initial value if the key does not exist.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key",
    handler: Handler::Data(|cx, request| add(cx, &request[1], 1)),
    ..SPEC
};

pub(super) const DECR: Spec = Spec {
    name: "decr",
    summary: "Subtracts one from the integer value of a key. Zero is the initial value if the key does not exist.",
    access: KeyAccess::READ_UPDATE,
    handler: Handler::Data(|cx, request| add(cx, &request[1], -1)),
    ..INCR
};

pub(super) const INCRBY: Spec = Spec {
    name: "incrby",
    summary: "Adds a number to the integer value of a key. Zero is the initial value if the key does not exist.",
    arity: 3,
    access: KeyAccess::READ_UPDATE,
    syntax: "key increment:integer",
    handler: Handler::Data(|cx, request| {
        let by = integer(&request[2])?;
        add(cx, &request[1], by)
    }),
    ..INCR
};

pub(super) const DECRBY: Spec = Spec {
    name: "decrby",
    summary: "Subtracts a number from the integer value of a key. Zero is the initial value if the key does not exist.",
    arity: 3,
    access: KeyAccess::READ_UPDATE,
    syntax: "key decrement",
    handler: Handler::Data(|cx, request| {
        let by = integer(&request[2])?
            .checked_neg()
            .ok_or_else(|| CommandError::reply("ERR decrement would overflow"))?;
        add(cx, &request[1], by)
    }),
    ..INCR
};

/// One get, one put; the time to live stays.
fn add(cx: &mut Cx<'_>, key: &[u8], by: i64) -> Outcome {
    let (old, value) = match cx.string(key)? {
        Some(row) => (Some(row.header), integer(row.body())?),
        None => (None, 0),
    };
    let sum = value
        .checked_add(by)
        .ok_or_else(|| CommandError::reply("ERR increment or decrement would overflow"))?;
    let expire_at = old.and_then(|old| old.expire_at);
    cx.put_string(key, old, itoa::Buffer::new().format(sum).as_bytes(), expire_at)?;
    cx.modified(KeyEvent::IncrBy, key);
    cx.reply.integer(sum);
    Ok(())
}

pub(super) const INCRBYFLOAT: Spec = Spec {
    name: "incrbyfloat",
    summary: "Adds a floating-point number to the value of a key. Zero is the initial value if the key does not exist.",
    since: "2.6.0",
    arity: 3,
    access: KeyAccess::READ_UPDATE,
    syntax: "key increment:double",
    handler: Handler::Data(incrbyfloat),
    ..INCR
};

fn incrbyfloat(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let row = cx.string(key)?;
    let value = row.as_ref().map_or(&b"0"[..], |row| row.body());
    let value = LongDouble::parse(value).ok_or(NOT_FLOAT)?;
    let by = LongDouble::parse(&request[2]).ok_or(NOT_FLOAT)?;
    let sum = value
        .checked_add(by)
        .ok_or_else(|| CommandError::reply("ERR increment would produce NaN or Infinity"))?
        .to_string();
    let old = row.map(|row| row.header);
    cx.put_string(key, old, sum.as_bytes(), old.and_then(|old| old.expire_at))?;
    cx.modified(KeyEvent::IncrByFloat, key);
    cx.reply.bulk_str(&sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn counters() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("incr k"), ":1|");
            assert_eq!(bench.heard, ["new k", "incrby k"]);
            bench.run("getex k px 5");
            assert_eq!(bench.run("decrby k 11"), ":-10|");
            assert_eq!(bench.run("incrby k 17179869184"), ":17179869174|");
            assert_eq!(bench.run("decr k"), ":17179869173|");
            assert_eq!(bench.run("get k"), "$11|17179869173|");
            bench.now += 5;
            assert_eq!(bench.run("decr k"), ":-1|");
        }
    }

    #[test]
    fn counters_do_not_overflow() {
        let mut bench = Bench::new();
        bench.run("set k 9223372036854775807");
        assert_eq!(bench.run("incr k"), "-ERR increment or decrement would overflow|");
        assert_eq!(bench.run("get k"), "$19|9223372036854775807|");
        bench.run("set k -9223372036854775808");
        assert_eq!(bench.run("decr k"), "-ERR increment or decrement would overflow|");
        assert_eq!(
            bench.run("decrby k -9223372036854775808"),
            "-ERR decrement would overflow|"
        );
        for (value, line) in [
            (" 11", "incr k"),
            ("11 ", "incr k"),
            ("", "decr k"),
            ("1", "incrby k x"),
        ] {
            bench.run_args(&["set", "k", value]);
            assert_eq!(bench.run(line), "-ERR value is not an integer or out of range|");
        }
    }

    #[test]
    fn floating_point_counters() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("incrbyfloat k 1"), "$1|1|");
        assert_eq!(bench.heard, ["new k", "incrbyfloat k"]);
        assert_eq!(bench.run("incrbyfloat k 0.25"), "$4|1.25|");
        assert_eq!(bench.run("incrbyfloat k -1.1"), "$4|0.15|");
        assert_eq!(bench.run("incrbyfloat k x"), "-ERR value is not a valid float|");
        assert_eq!(
            bench.run("incrbyfloat k +inf"),
            "-ERR increment would produce NaN or Infinity|"
        );
        bench.run_args(&["set", "k", "    1"]);
        assert_eq!(bench.run("incrbyfloat k 1"), "-ERR value is not a valid float|");
        bench.run("set k 3e3");
        assert_eq!(bench.run("incrbyfloat k 200"), "$4|3200|");
    }
}
