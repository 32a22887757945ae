//! Users in the configuration file: lines `user NAME RULE RULE ...`, which are no keys.

use std::io;

use haypile_acl::{ApplyError, DEFAULT_USER, Defaults, User, Users};

use super::error::Place;
use super::line::quote;

/// A line about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// Where it stands.
    pub place: Place,
    /// The user.
    pub name: String,
    /// What is said of it.
    pub rules: Vec<String>,
}

impl UserLine {
    /// The user that the line makes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn user(&self, defaults: Defaults) -> Result<User, ApplyError> {
        let mut user = User::new(defaults);
        user.apply_all(&self.rules, defaults)?;
        Ok(user)
    }
}

/// The users that CONFIG REWRITE is to bring into the file.
#[derive(Clone, Debug, Default)]
pub struct UsersToWrite {
    /// All of them; none if they are kept elsewhere.
    pub users: Users,
    /// The default user as it is without a line.
    pub implied: Option<User>,
    /// What no rule speaks of.
    pub defaults: Defaults,
}

impl UsersToWrite {
    /// The line that is to take the place of this one: itself if it says what is so, another, or none.
    pub(super) fn replace(&self, line: &UserLine, text: &str) -> io::Result<Option<String>> {
        match self.users.get(line.name.as_bytes()) {
            None => Ok(None),
            Some(user) if line.user(self.defaults).as_ref() == Ok(user) => Ok(Some(text.to_owned())),
            Some(user) => write_line(line.name.as_bytes(), user).map(Some),
        }
    }

    /// The lines that are missing in a file that has lines for the users of these names.
    pub(super) fn missing(&self, there: &[String]) -> io::Result<Vec<String>> {
        let is_there = |name: &[u8]| there.iter().any(|there| there.as_bytes() == name);
        let is_implied = |name: &[u8], user| name == DEFAULT_USER.as_bytes() && self.implied.as_ref() == Some(user);
        self.users
            .iter()
            .filter(|(name, user)| !is_there(name) && !is_implied(name, user))
            .map(|(name, user)| write_line(name, user))
            .collect()
    }
}

fn write_line(name: &[u8], user: &User) -> io::Result<String> {
    let bytes = haypile_acl::text::line(name, user);
    let line = str::from_utf8(&bytes).map_err(|_| {
        let name = String::from_utf8_lossy(name);
        let reason = format!("what user {name} is called or may do is no UTF-8; aclfile can keep it");
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })?;
    Ok(line.split(' ').map(quote).collect::<Vec<_>>().join(" "))
}
