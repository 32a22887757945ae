//! The specs of MULTI, EXEC and what belongs to them.

use crate::{Flags, Group, Handler, KeyAccess, Keys, SPEC, Spec};

const CONTROL: Flags = Flags::NOSCRIPT
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::FAST)
    .or(Flags::ALLOW_BUSY);

const TRANSACTION: Spec = Spec {
    group: Group::Transactions,
    handler: Handler::Server,
    flags: CONTROL,
    ..SPEC
};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "multi",
        summary: "Starts a transaction.",
        since: "1.2.0",
        ..TRANSACTION
    },
    Spec {
        name: "exec",
        summary: "Executes all commands in a transaction.",
        since: "1.2.0",
        complexity: "Depends on the commands in the transaction.",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SKIP_SLOWLOG),
        ..TRANSACTION
    },
    Spec {
        name: "discard",
        summary: "Discards a transaction.",
        since: "2.0.0",
        ..TRANSACTION
    },
    Spec {
        name: "watch",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        since: "2.2.0",
        complexity: "O(1) for every key.",
        arity: -2,
        keys: Keys::ALL,
        access: KeyAccess::LOOK,
        syntax: "key [key ...]",
        ..TRANSACTION
    },
    Spec {
        name: "unwatch",
        summary: "Forgets about watched keys of a transaction.",
        since: "2.2.0",
        ..TRANSACTION
    },
];
