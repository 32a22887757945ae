//! What the server tells of itself and of its commands: INFO, COMMAND, SLOWLOG, LATENCY, MEMORY.

use super::{CONTAINER, HELP, LOADING_STALE, OPERATOR, SERVER};
use crate::{Categories, Flags, Handler, KeyAccess, Keys, Spec};

pub(super) const INFO: Spec = Spec {
    name: "info",
    summary: "Returns information and statistics about the server.",
    since: "1.0.0",
    arity: -1,
    flags: LOADING_STALE,
    categories: Some(Categories::DANGEROUS),
    syntax: "[section [section ...]]",
    ..SERVER
};

/// What the subcommands of COMMAND have in common.
const ABOUT_COMMANDS: Spec = Spec {
    categories: Some(Categories::CONNECTION),
    since: "2.8.13",
    flags: LOADING_STALE,
    ..SERVER
};

pub(super) const COMMAND: Spec = Spec {
    name: "command",
    summary: "Returns detailed information about all commands.",
    complexity: "O(N) where N is the total number of commands",
    arity: -1,
    subcommands: &[
        Spec {
            name: "count",
            summary: "Returns the number of commands.",
            arity: 2,
            ..ABOUT_COMMANDS
        },
        Spec {
            name: "docs",
            summary: "Returns documentation of one, several or all commands.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands to look up",
            arity: -2,
            syntax: "[command-name [command-name ...]]",
            ..ABOUT_COMMANDS
        },
        Spec {
            name: "getkeys",
            summary: "Extracts the key names from a command with its arguments.",
            complexity: "O(N) where N is the number of arguments to the command",
            arity: -4,
            syntax: "command [arg [arg ...]]",
            ..ABOUT_COMMANDS
        },
        Spec {
            name: "getkeysandflags",
            summary: "Extracts the key names and access flags from a command with its arguments.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of arguments to the command",
            arity: -4,
            syntax: "command [arg [arg ...]]",
            ..ABOUT_COMMANDS
        },
        Spec {
            name: "info",
            summary: "Returns information about one, several or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            arity: -2,
            syntax: "[command-name [command-name ...]]",
            ..ABOUT_COMMANDS
        },
        Spec {
            name: "list",
            summary: "Returns the names of the commands.",
            since: "7.0.0",
            complexity: "O(N) where N is the total number of commands",
            arity: -2,
            syntax: "[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
            ..ABOUT_COMMANDS
        },
        Spec {
            summary: "Returns helpful text about the subcommands of COMMAND.",
            categories: Some(Categories::CONNECTION),
            since: "5.0.0",
            ..HELP
        },
    ],
    ..ABOUT_COMMANDS
};

/// What the subcommands of SLOWLOG have in common.
const SLOW: Spec = Spec {
    since: "2.2.12",
    flags: Flags::ADMIN.or(LOADING_STALE),
    arity: 2,
    ..SERVER
};

pub(super) const SLOWLOG: Spec = Spec {
    name: "slowlog",
    summary: "A container for slow log commands.",
    since: "2.2.12",
    subcommands: &[
        Spec {
            name: "get",
            summary: "Returns the newest entries of the slow log.",
            complexity: "O(N) where N is the number of entries returned",
            arity: -2,
            syntax: "[count]",
            ..SLOW
        },
        Spec {
            name: "len",
            summary: "Returns the number of entries in the slow log.",
            ..SLOW
        },
        Spec {
            name: "reset",
            summary: "Clears all entries from the slow log.",
            complexity: "O(N) where N is the number of entries in the slowlog",
            ..SLOW
        },
        Spec {
            summary: "Returns helpful text about the subcommands of SLOWLOG.",
            since: "6.2.0",
            ..HELP
        },
    ],
    ..CONTAINER
};

/// What the subcommands of LATENCY have in common.
const DELAYS: Spec = Spec {
    since: "2.8.13",
    arity: 2,
    ..OPERATOR
};

pub(super) const LATENCY: Spec = Spec {
    name: "latency",
    summary: "A container for latency diagnostics commands.",
    since: "2.8.13",
    subcommands: &[
        Spec {
            name: "doctor",
            summary: "Returns a human-readable latency analysis report.",
            ..DELAYS
        },
        Spec {
            name: "graph",
            summary: "Returns a latency graph for an event.",
            arity: 3,
            syntax: "event",
            ..DELAYS
        },
        Spec {
            name: "histogram",
            summary: "Returns the cumulative distribution of latencies of a subset or all commands.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands with latency information being retrieved",
            arity: -2,
            syntax: "[command [command ...]]",
            ..DELAYS
        },
        Spec {
            name: "history",
            summary: "Returns timestamp-latency samples for an event.",
            arity: 3,
            syntax: "event",
            ..DELAYS
        },
        Spec {
            name: "latest",
            summary: "Returns the latest latency samples for all events.",
            ..DELAYS
        },
        Spec {
            name: "reset",
            summary: "Resets the latency data for one or more events.",
            arity: -2,
            syntax: "[event [event ...]]",
            ..DELAYS
        },
        Spec {
            summary: "Returns helpful text about the subcommands of LATENCY.",
            since: "2.8.13",
            ..HELP
        },
    ],
    ..CONTAINER
};

/// What the subcommands of MEMORY have in common.
const BYTES: Spec = Spec {
    since: "4.0.0",
    arity: 2,
    ..SERVER
};

pub(super) const MEMORY: Spec = Spec {
    name: "memory",
    summary: "A container for memory diagnostics commands.",
    since: "4.0.0",
    subcommands: &[
        Spec {
            name: "doctor",
            summary: "Outputs a memory problems report.",
            ..BYTES
        },
        Spec {
            name: "malloc-stats",
            summary: "Returns the allocator statistics.",
            complexity: "Depends on how much memory is allocated, could be slow",
            ..BYTES
        },
        Spec {
            name: "purge",
            summary: "Asks the allocator to release memory.",
            complexity: "Depends on how much memory is allocated, could be slow",
            ..BYTES
        },
        Spec {
            name: "stats",
            summary: "Returns details about memory usage.",
            ..BYTES
        },
        Spec {
            name: "usage",
            summary: "Estimates the bytes that a key and its value take.",
            complexity: "O(N) where N is the number of samples",
            arity: -3,
            flags: Flags::READONLY,
            keys: Keys::Range {
                first: 2,
                last: 2,
                step: 1,
            },
            access: KeyAccess::LOOK,
            syntax: "key [SAMPLES count]",
            handler: Handler::Data(super::memory_usage::usage),
            ..BYTES
        },
        Spec {
            summary: "Returns helpful text about the subcommands of MEMORY.",
            since: "4.0.0",
            ..HELP
        },
    ],
    ..CONTAINER
};
