//! The process and its data as a whole: saving, compaction, shutting down, time, DEBUG.

use super::{LOADING_STALE, OPERATOR, SERVER};
use crate::{Categories, Flags, Group, Spec};

const SAVING: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING);

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "save",
        summary: "Saves a checkpoint of all data, and waits for it.",
        complexity: "O(N) where N is the number of files; what is not flushed yet is written",
        flags: SAVING.or(Flags::NO_MULTI),
        ..SERVER
    },
    Spec {
        name: "bgsave",
        summary: "Saves a checkpoint of all data in the background.",
        arity: -1,
        flags: SAVING,
        syntax: "[SCHEDULE]",
        ..SERVER
    },
    Spec {
        name: "bgrewriteaof",
        summary: "Does nothing: the log is trimmed by itself as the store saves what it says.",
        flags: SAVING,
        ..SERVER
    },
    Spec {
        name: "lastsave",
        summary: "Returns the Unix timestamp of the last successful checkpoint.",
        flags: LOADING_STALE.or(Flags::FAST),
        categories: Some(Categories::ADMIN.or(Categories::DANGEROUS)),
        ..SERVER
    },
    Spec {
        name: "compact",
        summary: "Compacts the store in the background: what was deleted gives its space back.",
        since: "0.1.0",
        complexity: "O(N) where N is the size of the data, in the background",
        flags: SAVING,
        ..SERVER
    },
    Spec {
        name: "shutdown",
        summary: "Saves what is not on disk yet and shuts the server down.",
        complexity: "O(N) when saving, where N is the size of what is not flushed yet",
        arity: -1,
        flags: OPERATOR.flags.or(Flags::NO_MULTI).or(Flags::ALLOW_BUSY),
        syntax: "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]",
        ..SERVER
    },
    Spec {
        name: "time",
        summary: "Returns the server time.",
        since: "2.6.0",
        flags: LOADING_STALE.or(Flags::FAST),
        ..SERVER
    },
    Spec {
        name: "lolwut",
        summary: "Displays the version, and nothing more.",
        since: "5.0.0",
        arity: -1,
        flags: Flags::READONLY.or(Flags::FAST),
        syntax: "[VERSION version:integer]",
        ..SERVER
    },
    Spec {
        name: "debug",
        summary: "A container for debugging commands.",
        complexity: "Depends on the subcommand",
        arity: -2,
        syntax: "subcommand [arg [arg ...]]",
        ..OPERATOR
    },
    Spec {
        name: "monitor",
        summary: "Listens for all commands received by the server in real-time.",
        flags: OPERATOR.flags,
        ..SERVER
    },
    Spec {
        name: "waitaof",
        summary: "Blocks until the preceding writes are on the disks of this server and of as many replicas as asked for.",
        since: "7.2.0",
        group: Group::Generic,
        arity: 4,
        flags: Flags::BLOCKING,
        categories: Some(Categories::CONNECTION),
        syntax: "numlocal numreplicas timeout",
        ..SERVER
    },
    Spec {
        name: "wait",
        summary: "Blocks until as many replicas as asked for have acknowledged the preceding writes.",
        since: "3.0.0",
        group: Group::Generic,
        arity: 3,
        flags: Flags::NOSCRIPT,
        categories: Some(Categories::CONNECTION),
        syntax: "numreplicas timeout:integer",
        ..SERVER
    },
];
