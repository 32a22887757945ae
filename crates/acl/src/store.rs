//! Where users outlive the process: an interface, which a file or the metadata of a cluster provides.

use std::collections::BTreeMap;
use std::io;

use crate::{Defaults, User};

/// Users by name.
pub type Users = BTreeMap<Vec<u8>, User>;

/// Where users outlive the process.
pub trait UserStore: Send + Sync {
    /// Those that are there. The default user need not be among them.
    ///
    /// # Errors
    /// They cannot be read, or what is there makes no users.
    fn load(&self, defaults: Defaults) -> Result<Users, LoadError>;

    /// Lets these be there and no others. After a crash it is them or those from before, on disk.
    ///
    /// # Errors
    /// They cannot be written; those from before are still there.
    fn save(&self, users: &Users) -> Result<(), SaveError>;
}

/// Why there are no users: one line, in Redis' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Why users were not saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the users to {place}: {source}")]
pub struct SaveError {
    /// Where to.
    pub place: String,
    /// The system's words.
    pub source: io::Error,
}
