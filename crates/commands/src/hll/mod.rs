//! (layout here)

use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[];
