//! Users as lines of text: `user NAME RULE RULE ...`.

use std::collections::btree_map::Entry;

use crate::{ApplyError, Defaults, LoadError, RuleError, User, Users, is_name, is_space};

/// The line of one user, without its end.
pub fn line(name: &[u8], user: &User) -> Vec<u8> {
    [b"user ", name, b" ", &user.describe()[..]].concat()
}

/// The lines of all.
pub fn write(users: &Users) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, user) in users {
        text.extend(line(name, user));
        text.push(b'\n');
    }
    text
}

/// Reads lines. `place` is for the errors: the name of the file. There are no comments, as they would be lost when it is
/// written again; empty lines are allowed.
///
/// # Errors
/// All that is wrong, with the numbers of the lines, as one line.
pub fn read(text: &[u8], place: &str, defaults: Defaults) -> Result<Users, LoadError> {
    let mut users = Users::new();
    let mut errors = String::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        let mut words = line
            .split(|byte| is_space(*byte) && *byte != 0)
            .filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        let Some(name) = words.next().filter(|_| first == b"user") else {
            errors.push_str(&format!(
                "{place}:{number} should start with user keyword followed by the username. "
            ));
            continue;
        };
        let shown = String::from_utf8_lossy(name);
        if !is_name(name) {
            errors.push_str(&format!(
                "'{place}:{number}: username '{shown}' contains invalid characters. "
            ));
            continue;
        }
        let Entry::Vacant(vacant) = users.entry(name.to_vec()) else {
            errors.push_str(&format!("WARNING: Duplicate user '{shown}' found on line {number}. "));
            continue;
        };
        let mut user = User::new(defaults);
        if let Err(error) = user.apply_all(&words.collect::<Vec<_>>(), defaults) {
            errors.push_str(&match error {
                // A password must not come into the log.
                ApplyError::Rule {
                    rule,
                    error: error @ RuleError::Unknown,
                } => format!(
                    "{place}:{number}: Error in applying operation '{}': {error}. ",
                    String::from_utf8_lossy(&rule)
                ),
                ApplyError::Rule { error, .. } => format!("{place}:{number}: {error}. "),
                ApplyError::Unmatched(_) => format!("{place}:{number}: Unmatched parenthesis in selector definition. "),
            });
        }
        vacant.insert(user);
    }
    match errors.is_empty() {
        true => Ok(users),
        false => Err(LoadError(errors)),
    }
}
