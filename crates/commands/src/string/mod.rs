//! Strings. The value stands in the row itself, after the header: there are no elements.

mod basic;

use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[basic::GET];
