//! From the file and the flags to values.

use std::path::Path;

use super::error::{ConfigError, Place};
use super::key::{Key, find, nearest};
use super::keys::Values;
use super::line::split;
use super::user_lines::UserLine;

/// A line of a configuration file.
pub(super) enum Line {
    /// Empty, or a comment.
    Blank,
    /// A key and its words.
    Setting(&'static Key, Vec<String>),
    /// What is said of a user.
    User(UserLine),
}

/// Takes one line apart; `place` is for the error.
pub(super) fn read_line(line: &str, place: &Place) -> Result<Line, ConfigError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Line::Blank);
    }
    let words = split(line).ok_or_else(|| ConfigError::Quotes(place.clone()))?;
    // A line that is not empty has a first word.
    let Some((name, words)) = words.split_first() else {
        return Ok(Line::Blank);
    };
    if name.eq_ignore_ascii_case("user") {
        let (name, rules) = words.split_first().ok_or_else(|| ConfigError::NoUser(place.clone()))?;
        return Ok(Line::User(UserLine {
            place: place.clone(),
            name: name.clone(),
            rules: rules.to_vec(),
        }));
    }
    Ok(Line::Setting(lookup(name, place)?, words.to_vec()))
}

/// The key of this name, or an error that suggests another.
pub(super) fn lookup(name: &str, place: &Place) -> Result<&'static Key, ConfigError> {
    find(name).ok_or_else(|| ConfigError::UnknownKey {
        place: place.clone(),
        key: name.to_string(),
        nearest: nearest(name),
    })
}

/// Puts values from one source, a file or the command line, one after another.
pub(super) struct Loader<'a> {
    values: &'a mut Values,
    seen: Vec<&'static str>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(values: &'a mut Values) -> Self {
        Self {
            values,
            seen: Vec::new(),
        }
    }

    /// The keys that were set, mirrors by their own names.
    pub(super) fn seen(self) -> Vec<&'static str> {
        self.seen
    }

    /// Sets a key to the value that `words` make.
    pub(super) fn put(&mut self, key: &'static Key, words: &[String], place: &Place) -> Result<(), ConfigError> {
        if words.is_empty() || (words.len() > 1 && !key.takes_words()) {
            return Err(ConfigError::Count {
                place: place.clone(),
                key: key.name,
                many: key.takes_words(),
                given: words.len(),
                allowed: key.allowed(),
            });
        }
        let text = words.join(" ");
        let adds = (key.adds_up)() && !text.is_empty() && self.seen.contains(&key.name);
        let whole = if adds {
            format!("{} {text}", (key.print)(self.values))
        } else {
            text.clone()
        };
        (key.parse)(self.values, &whole).map_err(|_| ConfigError::Value {
            place: place.clone(),
            key: key.name,
            value: if key.is_secret() {
                "hidden".into()
            } else {
                format!("{text:?}")
            },
            allowed: key.allowed(),
        })?;
        self.seen.push(key.name);
        Ok(())
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The keys that it sets.
    pub(super) keys: Vec<&'static str>,
    /// Of users.
    pub(super) users: Vec<UserLine>,
}

/// Reads a configuration text into `values`. `path` is for the errors.
pub(super) fn load_text(text: &str, path: &Path, values: &mut Values) -> Result<Said, ConfigError> {
    let mut loader = Loader::new(values);
    let mut users = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = Place::Line(path.to_path_buf(), index + 1);
        match read_line(line, &place)? {
            Line::Setting(key, words) => loader.put(key, &words, &place)?,
            Line::User(user) => users.push(user),
            Line::Blank => {}
        }
    }
    let keys = loader.seen();
    Ok(Said { keys, users })
}

#[cfg(test)]
mod tests {
    use super::*;
    use haypile_oplog::SyncPolicy;

    fn load(text: &str) -> Result<Values, String> {
        let mut values = Values::default();
        load_text(text, Path::new("h.conf"), &mut values).map_err(|error| error.to_string())?;
        Ok(values)
    }

    #[test]
    fn reads_keys_comments_and_quotes() {
        let text = "# comment\n\n  port 7000\r\nBIND 127.0.0.1 -::1\nrequirepass \"a b\"\nmemory-budget 1gb\n\
                    hash-max-ziplist-entries 7\nappendfsync no\nclient-output-buffer-limit pubsub 1mb 2mb 3\n";
        let values = load(text).unwrap();
        assert_eq!(values.port, 7000);
        assert_eq!(values.bind.len(), 2);
        assert_eq!(values.requirepass, "a b");
        assert_eq!(values.memory_budget, 1 << 30);
        assert_eq!(values.sync, SyncPolicy::Os);
        assert_eq!(values.hash_max_listpack_entries, 7);
        assert_eq!(values.client_output_buffer_limit.pubsub.soft_bytes, 2 << 20);
        assert_eq!(values.client_output_buffer_limit.replica.soft_seconds, 60);
    }

    #[test]
    fn save_lines_add_up_and_others_replace() {
        let save = |text| load(text).unwrap().kept.get("save").to_string();
        assert_eq!(save("save 60 1\nsave 30 2"), "60 1 30 2");
        assert_eq!(save("save 60 1 30 2"), "60 1 30 2");
        assert_eq!(save("save 60 1\nsave \"\"\nsave 5 5"), "5 5");
        assert_eq!(load("port 1\nport 2").unwrap().port, 2);
    }

    #[test]
    fn errors_name_file_line_key_and_what_is_allowed() {
        let error = |text| load(text).unwrap_err();
        assert_eq!(
            error("\nmaxclients abc"),
            "h.conf:2: maxclients is \"abc\", but must be a whole number from 1 to 4294967295 clients"
        );
        assert_eq!(
            error("maxclient 5"),
            "h.conf:1: unknown key 'maxclient', did you mean 'maxclients'? (`haypile config` lists the keys)"
        );
        assert_eq!(
            error("qqq 5"),
            "h.conf:1: unknown key 'qqq' (`haypile config` lists the keys)"
        );
        assert_eq!(error("sync \"x"), "h.conf:1: unbalanced quotes");
        assert_eq!(
            error("port 1 2"),
            "h.conf:1: port takes one value, but has 2 values; it must be a whole number from 0 to 65535"
        );
        assert!(error("port").starts_with("h.conf:1: port takes one value, but has 0 values"));
        assert_eq!(
            error("sync sometimes"),
            "h.conf:1: sync is \"sometimes\", but must be one of always, everysec, os, no"
        );
        assert!(error("daemonize yes").ends_with("daemonize is \"yes\", but must be no"));
        assert!(!error(&format!("requirepass {}", "x".repeat(513))).contains("xxx"));
    }
}
