//! Which partition a request is for: the one with the slot of its first key. Commands have keys of one slot where there are
//! several partitions, and what has no key is for all data, see [`Partitions::the_one`].

use haypile_commands::table::Known;
use haypile_resp::Request;
use haypile_types::{Slot, slot_of};

use crate::partitions::{Partitions, Using};

/// The partition of a request.
#[inline]
pub fn partition_of(partitions: &Partitions, known: &Known, request: &Request) -> Using {
    partitions.of_slot(|| slot_of_request(known, request))
}

/// The slot that says where a request belongs.
pub fn slot_of_request(known: &Known, request: &Request) -> Slot {
    known.spec.keys.first_of(request).map_or(0, slot_of)
}
