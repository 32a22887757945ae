//! Adding elements.

use haypile_resp::Request;

use super::sketch::Sketch;
use crate::spec::WRITE_FAST;
use crate::{Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const PFADD: Spec = Spec {
    name: "pfadd",
    summary: "Adds elements to a HyperLogLog. The key is created if it does not exist.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(1) to add every element.",
    arity: -2,
    flags: WRITE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::INSERT,
    syntax: "key [element [element ...]]",
    handler: Handler::Data(pfadd),
    ..SPEC
};

fn pfadd(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let row = cx.string(key)?;
    let mut sketch = match &row {
        Some(row) => Sketch::open(row.body())?,
        None => Sketch::empty(),
    };
    let mut changed = row.is_none();
    for element in request.iter().skip(2) {
        changed |= sketch.add(element, cx.hll_sparse_bytes_max)?;
    }
    if changed {
        sketch.invalidate_cache();
        let bytes = sketch.into_bytes();
        cx.put_similar_string(key, row, &bytes)?;
        cx.modified(KeyEvent::PfAdd, key);
    }
    cx.reply.integer(i64::from(changed));
    Ok(())
}
