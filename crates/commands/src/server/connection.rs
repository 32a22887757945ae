//! The specs of commands about the client's own connection, and about those of others.

use crate::{Flags, Group, Handler, SPEC, Spec};

/// Flags of a command that concerns its own connection only.
const OWN: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);
/// Flags of a command that a client may need before or against everything else.
const ALWAYS: Flags = OWN.or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY);
/// Flags of a command that concerns other connections.
const OTHERS: Flags = OWN.or(Flags::ADMIN);

const CONNECTION: Spec = Spec {
    group: Group::Connection,
    handler: Handler::Server,
    flags: OWN,
    ..SPEC
};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "auth",
        summary: "Authenticates the connection.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of passwords defined for the user",
        arity: -2,
        flags: ALWAYS,
        syntax: "[username] password",
        ..CONNECTION
    },
    Spec {
        name: "client",
        summary: "A container for commands about client connections.",
        since: "2.4.0",
        complexity: "Depends on subcommand.",
        arity: -2,
        flags: Flags::NONE,
        handler: Handler::Container,
        subcommands: CLIENT,
        ..CONNECTION
    },
    Spec {
        name: "echo",
        summary: "Returns the given string.",
        since: "1.0.0",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        syntax: "message",
        ..CONNECTION
    },
    Spec {
        name: "hello",
        summary: "Handshakes with the server: protocol version, authentication and the connection's name.",
        since: "6.0.0",
        arity: -1,
        flags: ALWAYS,
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        ..CONNECTION
    },
    Spec {
        name: "ping",
        summary: "Returns the server's liveliness response.",
        since: "1.0.0",
        arity: -1,
        flags: Flags::FAST,
        syntax: "[message]",
        ..CONNECTION
    },
    Spec {
        name: "quit",
        summary: "Closes the connection.",
        since: "1.0.0",
        arity: -1,
        flags: ALWAYS,
        ..CONNECTION
    },
    Spec {
        name: "reset",
        summary: "Brings the connection back to the state of a new one.",
        since: "6.2.0",
        flags: ALWAYS,
        ..CONNECTION
    },
    Spec {
        name: "select",
        summary: "Changes the selected database.",
        since: "1.0.0",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        syntax: "index",
        ..CONNECTION
    },
];

const CLIENT: &[Spec] = &[
    Spec {
        name: "caching",
        summary: "Tells the server whether to track the keys of the next request.",
        since: "6.0.0",
        arity: 3,
        syntax: "YES|NO",
        ..CONNECTION
    },
    Spec {
        name: "getname",
        summary: "Returns the name of the connection.",
        since: "2.6.9",
        arity: 2,
        ..CONNECTION
    },
    Spec {
        name: "getredir",
        summary: "Returns the client to which the connection's tracking notifications go.",
        since: "6.0.0",
        arity: 2,
        ..CONNECTION
    },
    Spec {
        name: "help",
        summary: "Returns helpful text about the subcommands.",
        since: "5.0.0",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        ..CONNECTION
    },
    Spec {
        name: "id",
        summary: "Returns the unique id of the connection.",
        since: "5.0.0",
        arity: 2,
        ..CONNECTION
    },
    Spec {
        name: "info",
        summary: "Returns information about the connection.",
        since: "6.2.0",
        arity: 2,
        ..CONNECTION
    },
    Spec {
        name: "kill",
        summary: "Closes connections.",
        since: "2.4.0",
        complexity: "O(N) where N is the number of client connections",
        arity: -3,
        flags: OTHERS,
        syntax: "<ip:port|<[ID client-id]|[TYPE NORMAL|MASTER|SLAVE|REPLICA|PUBSUB]|[USER username]|[ADDR ip:port]|\
                 [LADDR ip:port]|[SKIPME YES|NO] ...>>",
        ..CONNECTION
    },
    Spec {
        name: "list",
        summary: "Lists open connections.",
        since: "2.4.0",
        complexity: "O(N) where N is the number of client connections",
        arity: -2,
        flags: OTHERS,
        syntax: "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]",
        ..CONNECTION
    },
    Spec {
        name: "no-evict",
        summary: "Sets whether the connection is exempt from being closed for want of memory.",
        since: "7.0.0",
        arity: 3,
        flags: OTHERS,
        syntax: "ON|OFF",
        ..CONNECTION
    },
    Spec {
        name: "no-touch",
        summary: "Sets whether the connection's commands leave the keys' access times alone.",
        since: "7.2.0",
        arity: 3,
        syntax: "ON|OFF",
        ..CONNECTION
    },
    Spec {
        name: "pause",
        summary: "Suspends the processing of commands.",
        since: "2.9.50",
        arity: -3,
        flags: OTHERS,
        syntax: "timeout:integer [WRITE|ALL]",
        ..CONNECTION
    },
    Spec {
        name: "reply",
        summary: "Tells the server which replies the connection wants.",
        since: "3.2.0",
        arity: 3,
        syntax: "ON|OFF|SKIP",
        ..CONNECTION
    },
    Spec {
        name: "setinfo",
        summary: "Sets information about the client library.",
        since: "7.2.0",
        arity: 4,
        syntax: "LIB-NAME libname|LIB-VER libver",
        ..CONNECTION
    },
    Spec {
        name: "setname",
        summary: "Sets the name of the connection.",
        since: "2.6.9",
        arity: 3,
        syntax: "connection-name",
        ..CONNECTION
    },
    Spec {
        name: "tracking",
        summary: "Controls whether the server tracks the connection's keys for caching on its side.",
        since: "6.0.0",
        complexity: "O(1). Some options may introduce additional complexity.",
        arity: -3,
        syntax: "ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        ..CONNECTION
    },
    Spec {
        name: "trackinginfo",
        summary: "Returns how the connection's keys are tracked.",
        since: "6.2.0",
        arity: 2,
        ..CONNECTION
    },
    Spec {
        name: "unblock",
        summary: "Unblocks a client that waits in a blocking command of another connection.",
        since: "5.0.0",
        complexity: "O(log N) where N is the number of client connections",
        arity: -3,
        flags: OTHERS,
        syntax: "client-id [TIMEOUT|ERROR]",
        ..CONNECTION
    },
    Spec {
        name: "unpause",
        summary: "Resumes the processing of commands of paused clients.",
        since: "6.2.0",
        complexity: "O(N) where N is the number of paused clients",
        arity: 2,
        flags: OTHERS,
        ..CONNECTION
    },
];
