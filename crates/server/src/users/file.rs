//! The file that `aclfile` names.

use std::fs;
use std::path::PathBuf;

use haypile_acl::{Defaults, LoadError, SaveError, UserStore, Users, text};

use haypile_types::{Readers, replace_file};

/// Users in a file.
pub(super) struct AclFile {
    /// As the configuration has it.
    shown: String,
    path: PathBuf,
}

impl AclFile {
    /// A relative path is taken from the directory in which the server was started.
    pub(super) fn new(name: &str) -> AclFile {
        AclFile {
            shown: name.to_owned(),
            path: std::path::absolute(name).unwrap_or_else(|_| name.into()),
        }
    }
}

impl UserStore for AclFile {
    fn load(&self, defaults: Defaults) -> Result<Users, LoadError> {
        let text = fs::read(&self.path).map_err(|error| {
            let name = &self.shown;
            LoadError(format!("Error loading ACLs, opening file '{name}': {error}"))
        })?;
        text::read(&text, &self.shown, defaults)
    }

    fn save(&self, users: &Users) -> Result<(), SaveError> {
        replace_file(&self.path, &text::write(users), Readers::Owner).map_err(|source| SaveError {
            place: self.shown.clone(),
            source,
        })
    }
}
