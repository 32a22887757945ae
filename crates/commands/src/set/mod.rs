//! Sets: members in the order of a hash.
//!
//! ```text
//! data key    the collection's prefix | spread u16 BE | member
//! data value  empty
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
mod pop;
mod random;
mod read;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use haypile_store::keys::spread;

use crate::{Collection, Spec};

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
const SPREAD: usize = 2;

/// The member in an element, which is what stands in a data key after the prefix; `None` if it is not one.
pub(crate) fn member_of(element: &[u8]) -> Option<&[u8]> {
    element.get(SPREAD..)
}

/// The data keys of members, one at a time in the same memory.
struct MemberKey {
    key: Vec<u8>,
    prefix: usize,
}

impl MemberKey {
    fn new(set: &Collection) -> Self {
        let mut key = Vec::with_capacity(set.prefix().len() + SPREAD + 48);
        key.extend_from_slice(set.prefix());
        MemberKey { prefix: key.len(), key }
    }

    fn of(&mut self, member: &[u8]) -> &[u8] {
        self.key.truncate(self.prefix);
        self.key.extend_from_slice(&spread(member).to_be_bytes());
        self.key.extend_from_slice(member);
        &self.key
    }

    /// The same of a member with its spread, as it stands in another set.
    fn of_element(&mut self, element: &[u8]) -> &[u8] {
        self.key.truncate(self.prefix);
        self.key.extend_from_slice(element);
        &self.key
    }
}

/// The member in an element.
fn member(element: &[u8]) -> &[u8] {
    element.get(SPREAD..).unwrap_or_default()
}
