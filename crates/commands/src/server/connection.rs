use crate::{Flags, Group, Handler, SPEC, Spec};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "ping",
    summary: "Returns the server's liveliness response.",
    since: "1.0.0",
    group: Group::Connection,
    complexity: "O(1)",
    arity: -1,
    flags: Flags::FAST,
    syntax: "[message]",
    handler: Handler::Server,
    ..SPEC
}];
