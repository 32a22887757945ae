//! TLS: what the configuration says about it, as contexts for those who speak it.
//!
//! - `files` reads certificates and keys; `context` makes rustls' configurations of them; `verify` is how the
//!   certificate of a server is checked.
//! - `validity` reads when a certificate ends.
//! - `trouble` says in plain words what has gone wrong in a handshake.
//!
//! A [`Contexts`] is replaced as a whole: who has begun with one goes on with it.

mod context;
mod files;
mod trouble;
mod validity;
mod verify;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

pub use context::{Contexts, Dials, for_tools};
pub use trouble::{Trouble, describe};

use haypile_config::Values;

/// Why there is no TLS as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key that must be given with others.
    #[error("{text}")]
    Missing {
        /// The key.
        key: &'static str,
        /// In Redis' words.
        text: &'static str,
    },
    /// A file or directory cannot be read.
    #[error("{key} {path}: {source}")]
    Read {
        /// The key that names it.
        key: &'static str,
        /// Its path.
        path: String,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{key} {path}: {reason}")]
    Content {
        /// The key that names it.
        key: &'static str,
        /// Its path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Together they make no context.
    #[error("TLS cannot be configured: {0}")]
    Context(String),
}

impl TlsError {
    /// The key that is to be put right.
    pub fn key(&self) -> &'static str {
        match self {
            TlsError::Missing { key, .. } | TlsError::Read { key, .. } | TlsError::Content { key, .. } => key,
            TlsError::Context(_) => "tls-cert-file",
        }
    }
}

/// The contexts in force; none while neither `tls-port` nor `tls-replication` asks for them.
#[derive(Default)]
pub struct Tls(ArcSwapOption<Contexts>);

impl Tls {
    /// Reads the files, if the configuration asks for TLS.
    ///
    /// # Errors
    /// What is wrong; then nothing has changed.
    pub fn load(&self, values: &Values) -> Result<(), TlsError> {
        let contexts = match values.tls_port > 0 || values.tls_replication {
            true => Some(Arc::new(Contexts::read(values)?)),
            false => None,
        };
        self.0.store(contexts);
        Ok(())
    }

    /// The contexts in force.
    pub fn get(&self) -> Option<Arc<Contexts>> {
        self.0.load_full()
    }
}

/// True if the contexts depend on this key.
pub fn depends_on(key: &str) -> bool {
    key.starts_with("tls-") && key != "tls-handshake-timeout"
}
