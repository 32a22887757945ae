//! The configuration: one table of keys, from which the flags, the file, CONFIG GET, SET and REWRITE and the
//! documentation follow.
//!
//! - `keys` and `kept` are the tables: the keys that have an effect, and those that are only accepted.
//! - `codec` and `kinds` read and print values; `key` describes one key and holds the macros that make the tables.
//! - `user_lines` is what a file may say of users, who are no keys.
//! - `line` and `load` read a file, `rewrite` writes it back, `reference` prints the sample and the documentation.
//!
//! The server reads [`Config::load`] wherever it needs a value, so a change by CONFIG SET is seen by the next reader.

mod codec;
mod error;
mod kept;
mod key;
mod keys;
mod kinds;
mod line;
mod load;
mod reference;
mod rewrite;
mod user_lines;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use load::Said;

pub use error::{ConfigError, Place, RewriteError, SetError};
pub use kept::Kept;
pub use key::{Change, Key, all as all_keys, find as find_key};
pub use keys::{Allow, AuthClients, LogFormat, LogLevel, Values};
pub use kinds::{BindAddress, BufferLimit, BufferLimits, Member, NotifyFlags, TlsVersion};
pub use line::quote;
pub use reference::{markdown, sample, summary};
pub use user_lines::{NoUsers, UserLine, UsersToWrite};

/// Keys that CONFIG GET gives only to those who know their names, as in Redis.
const HIDDEN: [&str; 2] = ["key-load-delay", "rdb-key-save-delay"];

/// The configuration of a running server.
pub struct Config {
    values: ArcSwap<Values>,
    /// The file it was started with, absolute and without symbolic links.
    file: Option<PathBuf>,
    /// What the file says of users, and the keys that it or a flag has set.
    said: Said,
    /// Held while CONFIG SET or CONFIG REWRITE is at work, so that two changes cannot lose each other.
    changing: Mutex<()>,
}

impl Config {
    /// Every key at its default, without a file.
    pub fn defaults() -> Self {
        Self::of(Values::default(), None, Said::default())
    }

    /// These values, without a file.
    pub fn from_values(values: Values) -> Self {
        Self::of(values, None, Said::default())
    }

    fn of(values: Values, file: Option<PathBuf>, said: Said) -> Self {
        Self {
            values: ArcSwap::from_pointee(values),
            file,
            said,
            changing: Mutex::new(()),
        }
    }

    /// Reads the file, if there is one, and then the flags, which win. A flag is a name and its words, as
    /// `("bind", ["127.0.0.1", "::1"])`.
    ///
    /// # Errors
    /// A file that cannot be read, and the first line or flag that is not right.
    pub fn read(file: Option<&Path>, flags: &[(String, Vec<String>)]) -> Result<Self, ConfigError> {
        let mut values = Values::default();
        let (mut resolved, mut said) = (None, Said::default());
        if let Some(path) = file {
            let failed = |source| ConfigError::Read {
                path: path.to_path_buf(),
                source,
            };
            let text = std::fs::read_to_string(path).map_err(failed)?;
            said = load::load_text(&text, path, &mut values)?;
            resolved = Some(std::fs::canonicalize(path).map_err(failed)?);
        }
        let mut loader = load::Loader::new(&mut values);
        for (name, words) in flags {
            loader.put(load::lookup(name, &Place::Flag)?, words, &Place::Flag)?;
        }
        said.keys.append(&mut loader.seen());
        Ok(Self::of(values, resolved, said))
    }

    /// True if the file or a flag has said something about a key, the default included.
    pub fn is_given(&self, key: &str) -> bool {
        self.said.keys.contains(&key)
    }

    /// The values of this moment, to read and let go: cheap enough for every command. Do not hold it across waits.
    pub fn load(&self) -> Guard<Arc<Values>> {
        self.values.load()
    }

    /// The values of this moment, to keep.
    pub fn get(&self) -> Arc<Values> {
        self.values.load_full()
    }

    /// The file the server was started with.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the file said of users when the server was started.
    pub fn user_lines(&self) -> &[UserLine] {
        &self.said.users
    }

    /// The keys that are set to something other than their default and have no effect: worth a line in the log.
    pub fn set_without_effect(&self) -> Vec<&'static str> {
        let (values, defaults) = (self.load(), Values::default());
        let differs = |key: &&Key| !key.has_effect && (key.print)(&values) != (key.print)(&defaults);
        all_keys().filter(differs).map(|key| key.name).collect()
    }

    /// CONFIG GET: the names that match any of the patterns, each once, with their values. A pattern without glob
    /// characters is a name, and comes back as it was given. `glob(pattern, name)` matches one name; both are in
    /// lower case.
    pub fn get_matching(&self, patterns: &[&[u8]], glob: impl Fn(&[u8], &[u8]) -> bool) -> Vec<(String, String)> {
        let values = self.load();
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, key: &Key| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_string(), (key.print)(&values)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"[]*?\\".contains(byte)) {
                if let Some((name, key)) = str::from_utf8(pattern)
                    .ok()
                    .and_then(|name| Some((name, find_key(name)?)))
                {
                    add(name, key);
                }
                continue;
            }
            let pattern = pattern.to_ascii_lowercase();
            for key in all_keys().filter(|key| !HIDDEN.contains(&key.name)) {
                for name in key.names().filter(|name| glob(&pattern, name.as_bytes())) {
                    add(name, key);
                }
            }
        }
        found
    }

    /// CONFIG SET: changes all the keys or, when one cannot be changed, none. `local` says that the client came over
    /// the loopback interface. Returns the names of the keys whose value is now another, or is to be read again, for
    /// those who must act on it.
    ///
    /// # Errors
    /// The reply for the client.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<Vec<&'static str>, SetError> {
        self.set_if(pairs, local, |_, _| Ok(()))
    }

    /// As [`Config::set`]; `apply` sees the new values and the changed names before they are in force, and can still
    /// refuse them with a key and a reason.
    ///
    /// # Errors
    /// The reply for the client.
    pub fn set_if(
        &self,
        pairs: &[(&[u8], &[u8])],
        local: bool,
        apply: impl FnOnce(&Values, &[&'static str]) -> Result<(), (&'static str, String)>,
    ) -> Result<Vec<&'static str>, SetError> {
        let _changing = self.changing.lock();
        let old = self.get();
        let mut new = Values::clone(&old);
        let refused = |name: &str, reason: &str| SetError::Refused {
            key: name.to_string(),
            reason: reason.to_string(),
        };

        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let unknown = |name: &[u8]| SetError::UnknownKey(text(name));
        let keys: Vec<(String, &'static Key)> = pairs
            .iter()
            .map(|(name, _)| {
                find_key(&text(name))
                    .map(|key| (text(name), key))
                    .ok_or_else(|| unknown(name))
            })
            .collect::<Result<_, _>>()?;
        for (index, (name, key)) in keys.iter().enumerate() {
            if keys[..index]
                .iter()
                .any(|(_, earlier)| earlier.identity() == key.identity())
            {
                return Err(refused(name, "duplicate parameter"));
            }
        }

        for ((name, key), (_, value)) in keys.iter().zip(pairs) {
            let value = str::from_utf8(value).map_err(|_| refused(name, "argument must be valid UTF-8"))?;
            let parsed = (key.parse)(&mut new, value);
            // Setting a key to what it already is changes nothing and is allowed, so that a program may write back
            // what it has read.
            let same = parsed.is_ok() && (key.print)(&new) == (key.print)(&old);
            match key.change {
                Change::AtStart if !same => return Err(refused(name, "can't set immutable config")),
                Change::Protected if !same && !old.enable_protected_configs.allows(local) => {
                    return Err(refused(name, "can't set protected config"));
                }
                _ => parsed.map_err(|reason| refused(name, &reason))?,
            }
        }

        let changed: Vec<&'static str> = all_keys()
            .filter(|key| {
                let (now, before) = ((key.print)(&new), (key.print)(&old));
                let given = || keys.iter().any(|(_, given)| given.name == key.name);
                now != before || ((key.is_read_again)() && !now.is_empty() && given())
            })
            .map(|key| key.name)
            .collect();
        apply(&new, &changed).map_err(|(key, reason)| refused(key, &reason))?;
        self.values.store(Arc::new(new));
        Ok(changed)
    }

    /// Changes values as the server itself does it, REPLICAOF say.
    pub fn change(&self, change: impl FnOnce(&mut Values)) {
        let _changing = self.changing.lock();
        let mut new = Values::clone(&self.load());
        change(&mut new);
        self.values.store(Arc::new(new));
    }

    /// CONFIG REWRITE: brings the file the server was started with up to date. Comments and order stay; only lines
    /// whose value is another are changed, and keys that are not at their default are appended. The file is replaced
    /// in one step.
    ///
    /// # Errors
    /// The reply for the client; the file is then as it was.
    pub fn rewrite(&self, users: &dyn UsersToWrite) -> Result<(), RewriteError> {
        let _changing = self.changing.lock();
        let path = self.file.as_deref().ok_or(RewriteError::NoFile)?;
        rewrite::rewrite(path, &self.load(), users)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::defaults()
    }
}

impl std::fmt::Debug for Config {
    /// Without the values: a password is among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
