//! Bodies and patches against models of maps, whatever is done to them.

mod damage;
mod fixtures;
mod model;
mod patching;
mod reading;

pub(crate) use model::{Act, Content, acts, content, kinds, packed_kinds, patch_of};
