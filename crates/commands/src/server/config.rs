//! CONFIG.

use super::{CONTAINER, HELP, OPERATOR};
use crate::Spec;

pub(super) const CONFIG: Spec = Spec {
    name: "config",
    summary: "A container for server configuration commands.",
    since: "2.0.0",
    subcommands: &[
        Spec {
            name: "get",
            summary: "Returns the effective values of configuration parameters.",
            since: "2.0.0",
            complexity: "O(N) when N is the number of configuration parameters provided",
            arity: -3,
            syntax: "parameter [parameter ...]",
            ..OPERATOR
        },
        Spec {
            name: "set",
            summary: "Sets configuration parameters in-flight: all of them, or none if one cannot be set.",
            since: "2.0.0",
            complexity: "O(N) when N is the number of configuration parameters provided",
            arity: -4,
            syntax: "parameter value [parameter value ...]",
            ..OPERATOR
        },
        Spec {
            name: "rewrite",
            summary: "Persists the effective configuration to the file that the server was started with.",
            since: "2.8.0",
            arity: 2,
            ..OPERATOR
        },
        Spec {
            name: "resetstat",
            summary: "Resets the server's statistics.",
            since: "2.0.0",
            arity: 2,
            ..OPERATOR
        },
        Spec {
            summary: "Returns helpful text about the subcommands of CONFIG.",
            since: "5.0.0",
            ..HELP
        },
    ],
    ..CONTAINER
};
