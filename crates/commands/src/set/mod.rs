//! Sets: members in the order of a hash.
//!
//! ```text
//! element  spread u16 BE | member
//! value    empty
//! ```
//!
//! The spread is the low 16 bits of the member's XXH3-64 ([`spread`]). It gives SSCAN a cursor that is a place, random
//! members somewhere to jump to ([`crate::sample`]), and the same order to all sets, so that the members that two sets
//! share stand in the same places.
//!
//! The row's size is the number of members.

mod algebra;
mod chunk;
mod combine;
mod draw;
mod pop;
mod random;
mod read;
mod scan;
mod small;
#[cfg(test)]
mod tests;
mod write;

use haypile_store::keys::spread;

use smallvec::SmallVec;

use self::combine::Operation;
use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    write::SADD,
    write::SREM,
    write::SMOVE,
    read::SISMEMBER,
    read::SMISMEMBER,
    read::SCARD,
    read::SMEMBERS,
    pop::SPOP,
    random::SRANDMEMBER,
    scan::SSCAN,
    combine::SINTER,
    combine::SINTERSTORE,
    combine::SINTERCARD,
    combine::SUNION,
    combine::SUNIONSTORE,
    combine::SDIFF,
    combine::SDIFFSTORE,
];

/// Bytes of an element before the member.
pub(crate) const SPREAD: usize = 2;

/// The member in an element; `None` if it is not one.
pub(crate) fn member_of(element: &[u8]) -> Option<&[u8]> {
    element.get(SPREAD..)
}

/// The names of members, one at a time in the same memory.
#[derive(Default)]
pub(crate) struct Name(SmallVec<[u8; 48]>);

impl Name {
    pub(crate) fn of(&mut self, member: &[u8]) -> &[u8] {
        self.0.clear();
        self.0.extend_from_slice(&spread(member).to_be_bytes());
        self.0.extend_from_slice(member);
        &self.0
    }
}

/// The member in an element.
fn member(element: &[u8]) -> &[u8] {
    element.get(SPREAD..).unwrap_or_default()
}
