use haypile_resp::Request;

use crate::spec::READ_FAST;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const GET: Spec = Spec {
    name: "get",
    summary: "Returns the string value of a key.",
    since: "1.0.0",
    group: Group::String,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key",
    handler: Handler::Data(get),
    ..SPEC
};

fn get(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    match cx.string(&request[1])? {
        Some(row) => cx.reply.bulk(row.body()),
        None => cx.reply.null(),
    }
    Ok(())
}
