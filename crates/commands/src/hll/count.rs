//! Estimating how many elements there are.

use haypile_resp::Request;

use super::REGISTERS;
use super::sketch::{Sketch, count_of};
use crate::spec::READ;
use crate::{Cx, Flags, Group, Handler, KeyAccess, Keys, Outcome, SPEC, Spec};

pub(super) const PFCOUNT: Spec = Spec {
    name: "pfcount",
    summary: "Estimates how many different elements the HyperLogLogs at the keys have seen together.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(N) where N is the number of keys; for a single key that has not changed since the last time it is much faster.",
    arity: -2,
    flags: READ.or(Flags::MAY_REPLICATE),
    keys: Keys::ALL,
    access: KeyAccess::DERIVE,
    syntax: "key [key ...]",
    handler: Handler::Data(pfcount),
    ..SPEC
};

fn pfcount(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let count = match request.len() {
        2 => count_one(cx, &request[1])?,
        _ => {
            let mut union = Box::new([0; REGISTERS]);
            for key in request.iter().skip(1) {
                if let Some(row) = cx.string(key)? {
                    Sketch::open(row.body())?.merge_into(&mut union)?;
                }
            }
            count_of(&union)
        }
    };
    cx.reply.integer(count as i64);
    Ok(())
}

/// The count of one key. Where the command may write it keeps the count with the value.
fn count_one(cx: &mut Cx<'_>, key: &[u8]) -> Result<u64, crate::CommandError> {
    let Some(row) = cx.string(key)? else {
        return Ok(0);
    };
    let mut sketch = Sketch::open(row.body())?;
    if let Some(count) = sketch.cached_count() {
        return Ok(count);
    }
    let count = sketch.count()?;
    if cx.may_write {
        sketch.cache_count(count);
        let bytes = sketch.into_bytes();
        cx.put_similar_string(key, Some(row), &bytes)?;
        cx.touch(key);
    }
    Ok(count)
}
