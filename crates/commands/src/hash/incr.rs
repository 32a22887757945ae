//! HINCRBY and HINCRBYFLOAT.

use haypile_resp::{LongDouble, Request, parse_i64};
use haypile_store::row::Kind;

use crate::args::integer;
use crate::error::NOT_FLOAT;
use crate::spec::WRITE_FAST;
use crate::{Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Named, Outcome, SPEC, Spec};

pub(super) const HINCRBY: Spec = Spec {
    name: "hincrby",
    summary: "Adds an integer to the value of a field in a hash; a field that does not exist counts as 0.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(1)",
    arity: 4,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::READ_UPDATE,
    syntax: "key field increment:integer",
    named: Named::one(2),
    handler: Handler::Data(hincrby),
    ..SPEC
};

pub(super) const HINCRBYFLOAT: Spec = Spec {
    name: "hincrbyfloat",
    summary: "Adds a floating-point number to the value of a field in a hash; a field that does not exist counts as 0.",
    since: "2.6.0",
    access: KeyAccess::READ_UPDATE,
    syntax: "key field increment:double",
    named: Named::one(2),
    handler: Handler::Data(hincrbyfloat),
    ..HINCRBY
};

fn hincrby(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let increment = integer(&request[3])?;
    let mut hash = cx.collection_or_new(&request[1], Kind::Hash)?;
    let old = match cx.element(&hash, &request[2])? {
        Some(value) => Some(parse_i64(&value).ok_or_else(|| CommandError::reply("ERR hash value is not an integer"))?),
        None => None,
    };
    let sum = old
        .unwrap_or(0)
        .checked_add(increment)
        .ok_or_else(|| CommandError::reply("ERR increment or decrement would overflow"))?;
    store(cx, request, &mut hash, old.is_none(), sum.to_string().as_bytes())?;
    cx.reply.integer(sum);
    cx.modified(KeyEvent::HIncrBy, &request[1]);
    Ok(())
}

fn hincrbyfloat(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let increment = LongDouble::parse(&request[3]).ok_or(NOT_FLOAT)?;
    let zero = LongDouble::parse(b"0").ok_or(NOT_FLOAT)?;
    // A sum with zero is infinite only if the other is.
    if zero.checked_add(increment).is_none() {
        return Err(CommandError::reply("ERR value is NaN or Infinity"));
    }
    let mut hash = cx.collection_or_new(&request[1], Kind::Hash)?;
    let old = match cx.element(&hash, &request[2])? {
        Some(value) => {
            Some(LongDouble::parse(&value).ok_or_else(|| CommandError::reply("ERR hash value is not a float"))?)
        }
        None => None,
    };
    let sum = old
        .unwrap_or(zero)
        .checked_add(increment)
        .ok_or_else(|| CommandError::reply("ERR increment would produce NaN or Infinity"))?
        .to_string();
    store(cx, request, &mut hash, old.is_none(), sum.as_bytes())?;
    cx.reply.bulk_str(&sum);
    cx.modified(KeyEvent::HIncrByFloat, &request[1]);
    Ok(())
}

fn store(
    cx: &mut Cx<'_>,
    request: &Request,
    hash: &mut Collection,
    new: bool,
    value: &[u8],
) -> Result<(), CommandError> {
    cx.put_element(hash, &request[2], value)?;
    hash.size += u64::from(new);
    cx.put_collection(&request[1], hash)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn integers() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("hincrby h n 2"), ":2|");
            assert_eq!(bench.heard, ["new h", "hincrby h"]);
            assert_eq!(bench.run("hincrby h n -5"), ":-3|");
            assert_eq!(bench.heard, ["hincrby h"]);
            assert_eq!(bench.run("hget h n"), "$2|-3|");
            assert_eq!(bench.run("hlen h"), ":1|");
            bench.run("hset h max 9223372036854775807 text abc");
            assert_eq!(
                bench.run("hincrby h max 1"),
                "-ERR increment or decrement would overflow|"
            );
            assert_eq!(bench.run("hincrby h text 1"), "-ERR hash value is not an integer|");
            assert_eq!(
                bench.run("hincrby h n 1.5"),
                "-ERR value is not an integer or out of range|"
            );
            assert_eq!(
                bench.run("hincrby none text x"),
                "-ERR value is not an integer or out of range|"
            );
            assert_eq!(bench.run("hlen none"), ":0|");
        }
    }

    #[test]
    fn floats() {
        let mut bench = Bench::new();
        for (increment, sum) in [
            ("1.23", "$4|1.23|"),
            ("0.77", "$1|2|"),
            ("-0.1", "$3|1.9|"),
            ("5e3", "$22|5001.89999999999999991|"),
        ] {
            assert_eq!(bench.run(&format!("hincrbyfloat h f {increment}")), sum);
        }
        assert_eq!(bench.heard, ["hincrbyfloat h"]);
        assert_eq!(bench.run("hget h f"), "$22|5001.89999999999999991|");
        bench.run("hset h text abc inf inf");
        assert_eq!(bench.run("hincrbyfloat h text 1"), "-ERR hash value is not a float|");
        assert_eq!(
            bench.run("hincrbyfloat h inf 1"),
            "-ERR increment would produce NaN or Infinity|"
        );
        assert_eq!(bench.run("hincrbyfloat h2 f +inf"), "-ERR value is NaN or Infinity|");
        assert_eq!(bench.run("hincrbyfloat h2 f nan"), "-ERR value is not a valid float|");
        assert_eq!(bench.run("hlen h2"), ":0|");
    }
}
