//! Making one value of several.

use haypile_resp::Request;

use super::REGISTERS;
use super::sketch::Sketch;
use crate::spec::WRITE;
use crate::{Access, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const PFMERGE: Spec = Spec {
    name: "pfmerge",
    summary: "Merges HyperLogLogs into one, together with what that has seen already.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
    arity: -2,
    flags: WRITE,
    keys: Keys::ALL,
    access: KeyAccess::FirstAndOthers(Access::READ_INSERT, Access::READ),
    syntax: "destkey [sourcekey [sourcekey ...]]",
    handler: Handler::Data(pfmerge),
    ..SPEC
};

fn pfmerge(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut union = Box::new([0; REGISTERS]);
    let mut dense = false;
    for key in request.iter().skip(1) {
        if let Some(row) = cx.string(key)? {
            let sketch = Sketch::open(row.body())?;
            dense |= !sketch.is_sparse();
            sketch.merge_into(&mut union)?;
        }
    }
    let key = &request[1];
    let row = cx.string(key)?;
    let mut sketch = match &row {
        Some(row) => Sketch::open(row.body())?,
        None => Sketch::empty(),
    };
    if dense {
        sketch.make_dense()?;
    }
    for (index, &value) in union.iter().enumerate().filter(|(_, value)| **value > 0) {
        sketch.raise(index, value, cx.hll_sparse_bytes_max)?;
    }
    sketch.invalidate_cache();
    let bytes = sketch.into_bytes();
    cx.put_similar_string(key, row, &bytes)?;
    cx.modified(KeyEvent::PfAdd, key);
    cx.reply.ok();
    Ok(())
}
