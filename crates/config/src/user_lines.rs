//! Users in the configuration file: lines `user NAME RULE RULE ...`, which are no keys. What the rules mean is for those to say who
//! know the users.

use std::io;

use super::error::Place;

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

/// The users that CONFIG REWRITE is to bring into the file.
pub trait UsersToWrite {
    /// The line that is to take the place of this one, which reads `text`: itself if it says what is so, another, or none.
    ///
    /// # Errors
    /// The user cannot be written into a configuration file.
    fn replace(&self, line: &UserLine, text: &str) -> io::Result<Option<String>>;

    /// The lines that are missing in a file that has lines for the users of these names.
    ///
    /// # Errors
    /// A user cannot be written into a configuration file.
    fn missing(&self, there: &[String]) -> io::Result<Vec<String>>;
}

/// The users are kept elsewhere: the file has no lines about them.
#[derive(Clone, Copy, Debug)]
pub struct NoUsers;

impl UsersToWrite for NoUsers {
    fn replace(&self, _: &UserLine, _: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn missing(&self, _: &[String]) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}
