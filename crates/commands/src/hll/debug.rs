//! A look inside.

use std::fmt::Write;

use haypile_resp::Request;

use super::sketch::Sketch;
use super::{REGISTERS, dense, sparse};
use crate::args::is;
use crate::spec::WRITE;
use crate::{CommandError, Cx, Flags, Group, Handler, KeyAccess, Keys, Outcome, Row, SPEC, Spec};

pub(super) const PFDEBUG: Spec = Spec {
    name: "pfdebug",
    summary: "Shows the registers or the encoding of a HyperLogLog, or makes it dense.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "N/A",
    arity: 3,
    flags: WRITE.or(Flags::ADMIN),
    keys: Keys::Range {
        first: 2,
        last: 2,
        step: 1,
    },
    access: KeyAccess::DERIVE,
    syntax: "GETREG|DECODE|ENCODING|TODENSE key",
    handler: Handler::Data(pfdebug),
    ..SPEC
};

fn pfdebug(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (what, key) = (&request[1], &request[2]);
    let Some(row) = cx.string(key)? else {
        return Err(CommandError::reply("ERR The specified key does not exist"));
    };
    let mut sketch = Sketch::open(row.body())?;
    if is(what, "GETREG") {
        make_dense(cx, key, &row, &mut sketch)?;
        cx.reply.array(REGISTERS);
        dense::registers(sketch.payload()).for_each(|value| cx.reply.integer(i64::from(value)));
    } else if is(what, "DECODE") {
        if !sketch.is_sparse() {
            return Err(CommandError::reply("ERR HLL encoding is not sparse"));
        }
        cx.reply.bulk_str(&decode(sketch.payload()));
    } else if is(what, "ENCODING") {
        cx.reply.simple(if sketch.is_sparse() { "sparse" } else { "dense" });
    } else if is(what, "TODENSE") {
        let changed = make_dense(cx, key, &row, &mut sketch)?;
        cx.reply.integer(i64::from(changed));
    } else {
        let what = String::from_utf8_lossy(what);
        return Err(CommandError::reply(format!("ERR Unknown PFDEBUG subcommand '{what}'")));
    }
    Ok(())
}

/// Makes the value dense and stores it; false if it was dense already. It means the same, so nobody hears of it.
fn make_dense(cx: &mut Cx<'_>, key: &[u8], row: &Row<'_>, sketch: &mut Sketch<'_>) -> Result<bool, CommandError> {
    if !sketch.is_sparse() {
        return Ok(false);
    }
    sketch.make_dense()?;
    cx.put_string(key, Some(row.header), sketch.bytes(), row.header.expire_at)?;
    Ok(true)
}

/// The runs as text: `z` zeros, `Z` zeros in the long form, `v` a value and how often.
fn decode(payload: &[u8]) -> String {
    let mut text = String::new();
    for run in sparse::runs(payload) {
        // Writing to a string does not fail.
        let _ = match run {
            sparse::Run::Zeros(len) => write!(text, "z:{len} "),
            sparse::Run::ManyZeros(len) => write!(text, "Z:{len} "),
            sparse::Run::Values(value, len) => write!(text, "v:{value},{len} "),
        };
    }
    text.truncate(text.trim_end().len());
    text
}
