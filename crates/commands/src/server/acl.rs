//! Users and what they may do.

use super::{CONTAINER, HELP, LOADING_STALE, OPERATOR, SERVER};
use crate::{Flags, Spec};

/// What everybody may ask.
const ASK: Spec = Spec {
    since: "6.0.0",
    flags: LOADING_STALE.or(Flags::NOSCRIPT),
    ..SERVER
};

/// What concerns other users.
const MANAGE: Spec = Spec {
    since: "6.0.0",
    ..OPERATOR
};

pub(super) const ACL: Spec = Spec {
    name: "acl",
    summary: "A container for Access List Control commands.",
    since: "6.0.0",
    subcommands: &[
        Spec {
            name: "cat",
            summary: "Lists the ACL categories, or the commands inside a category.",
            complexity: "O(1) since the categories and commands are a fixed set.",
            arity: -2,
            syntax: "[category:string]",
            ..ASK
        },
        Spec {
            name: "deluser",
            summary: "Deletes ACL users, and terminates their connections.",
            complexity: "O(1) amortized time considering the typical user.",
            arity: -3,
            syntax: "username [username ...]",
            ..MANAGE
        },
        Spec {
            name: "dryrun",
            summary: "Simulates the execution of a command by a user, without executing the command.",
            since: "7.0.0",
            arity: -4,
            syntax: "username command [arg [arg ...]]",
            ..MANAGE
        },
        Spec {
            name: "genpass",
            summary: "Generates a pseudorandom, secure password that can be used to identify ACL users.",
            arity: -2,
            syntax: "[bits:integer]",
            ..ASK
        },
        Spec {
            name: "getuser",
            summary: "Lists the ACL rules of a user.",
            complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
            arity: 3,
            syntax: "username",
            ..MANAGE
        },
        Spec {
            name: "list",
            summary: "Dumps the effective rules in ACL file format.",
            complexity: "O(N). Where N is the number of configured users.",
            arity: 2,
            ..MANAGE
        },
        Spec {
            name: "load",
            summary: "Reloads the rules from the configured ACL file.",
            complexity: "O(N). Where N is the number of configured users.",
            arity: 2,
            ..MANAGE
        },
        Spec {
            name: "log",
            summary: "Lists recent security events generated due to ACL rules.",
            complexity: "O(N) with N being the number of entries shown.",
            arity: -2,
            syntax: "[count:integer|RESET]",
            ..MANAGE
        },
        Spec {
            name: "save",
            summary: "Saves the effective ACL rules in the configured ACL file.",
            complexity: "O(N). Where N is the number of configured users.",
            arity: 2,
            ..MANAGE
        },
        Spec {
            name: "setuser",
            summary: "Creates and modifies an ACL user and its rules.",
            complexity: "O(N). Where N is the number of rules provided.",
            arity: -3,
            syntax: "username [rule [rule ...]]",
            ..MANAGE
        },
        Spec {
            name: "users",
            summary: "Lists all ACL users.",
            complexity: "O(N). Where N is the number of configured users.",
            arity: 2,
            ..MANAGE
        },
        Spec {
            name: "whoami",
            summary: "Returns the authenticated username of the current connection.",
            arity: 2,
            ..ASK
        },
        Spec {
            summary: "Returns helpful text about the subcommands of ACL.",
            since: "6.0.0",
            ..HELP
        },
    ],
    ..CONTAINER
};
