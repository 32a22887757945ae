//! (layout here)

use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[];

/// placeholder until the family lands
pub struct ExpireReport {
    pub more: bool,
}

pub fn expire_due(_: &mut crate::Cx<'_>, _: usize) -> Result<ExpireReport, crate::CommandError> {
    Ok(ExpireReport { more: false })
}
