//! What can be wrong with a configuration: each error is one line that names the place and what is allowed there.

use std::fmt;
use std::path::PathBuf;

/// Where a key was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
    /// A flag on the command line.
    Flag,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(f, "{}:{line}: ", path.display()),
            Self::Flag => f.write_str("command line: "),
        }
    }
}

/// A configuration that the server cannot start with. Fix the file or the flag; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line cannot be split into words.
    #[error("{0}unbalanced quotes")]
    Quotes(Place),
    /// A line about a user that names none.
    #[error("{0}user stands without a name")]
    NoUser(Place),
    /// No key has this name.
    #[error("{place}unknown key '{key}'{} (`haypile config` lists the keys)", nearest.map(|name| format!(", did you mean '{name}'?")).unwrap_or_default())]
    UnknownKey {
        /// Where.
        place: Place,
        /// The name that was given.
        key: String,
        /// A known name that looks like it.
        nearest: Option<&'static str>,
    },
    /// A key without a value, or with too many.
    #[error("{place}{key} takes {}, but has {given} values; it must be {allowed}", if *many { "one or more values" } else { "one value" })]
    Count {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
        /// Whether the key takes several.
        many: bool,
        /// How many were given.
        given: usize,
        /// What is allowed.
        allowed: String,
    },
    /// The value is not allowed.
    #[error("{place}{key} is {value}, but must be {allowed}")]
    Value {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
        /// The value that was given, in quotes; hidden when it is a secret.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Why CONFIG SET changed nothing. The text is the reply to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No key has this name.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    UnknownKey(String),
    /// A key cannot be changed, or not to this value.
    #[error("ERR CONFIG SET failed (possibly related to argument '{key}') - {reason}")]
    Refused {
        /// The name as the client gave it.
        key: String,
        /// In Redis' words.
        reason: String,
    },
}

/// Why CONFIG REWRITE did not write the file, which is unchanged. The text is the reply to the client.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// There is no file to rewrite.
    #[error("ERR The server is running without a config file")]
    NoFile,
    /// The file could not be read or written.
    #[error("ERR Rewriting config file: {0}")]
    Io(#[from] std::io::Error),
}
