//! Users and what they may do: access rules as Redis has them since version 6, selectors included. Nothing here does I/O.
//!
//! - A [`User`] is flags, hashes of passwords and [`Selector`]s, the first of which is its root. It is made of rules, one word
//!   each ([`User::apply`]), and is printed as rules again ([`User::describe`]), which make the same user.
//! - [`User::check`] says whether a user may run a command with these arguments. What it asks of a command, its number, its
//!   categories, where its keys and channels are and what it does with them, are facts of the command's spec.
//! - [`text`] is the form in which users stand in a file, and [`UserStore`] is where they outlive the process.

mod check;
mod command_rules;
mod error;
mod password;
mod selector;
mod store;
pub mod text;
mod user;

pub use check::Denial;
pub use error::{ApplyError, RuleError};
pub use password::Hash;
pub use selector::{KeyPattern, Reach, Selector};
pub use store::{LoadError, SaveError, UserStore, Users};
pub use user::{Defaults, User};

/// The user as whom everybody is who has not said otherwise. It is always there.
pub const DEFAULT_USER: &str = "default";

/// False for a name with white space or a zero byte, which could not be read back from a file.
pub fn is_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| is_space(*byte))
}

/// White space as C has it, or the end of a C string.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0)
}
