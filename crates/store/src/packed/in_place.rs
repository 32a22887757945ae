//! Patching a row where it stands, if it stays as long as it is.

use super::string::{StringChanges, length_after};
use super::{Expiry, PackedError, Patch};
use crate::row::{Header, Kind};

/// What stood in a row before it was patched where it is: offsets in the row, and bytes.
pub(crate) type Overwritten = Vec<(usize, Box<[u8]>)>;

/// Applies a string's patch to a row without moving anything, and gives what stood there; `None` if that cannot be, and
/// nothing is changed then.
///
/// # Errors
/// [`PackedError::Patch`]; nothing is changed.
pub(crate) fn patch_in_place(row: &mut [u8], patch: &[u8]) -> Result<Option<Overwritten>, PackedError> {
    let read = Patch::read(patch)?;
    let Some((header, start)) = Header::read(row) else {
        return Ok(None);
    };
    if read.kind() != Some(Kind::String) || header.kind != Kind::String || read.expiry() != Expiry::Kept {
        return Ok(None);
    }
    let pieces = StringChanges::new(read.changes).collect_all()?;
    let body = &mut row[start..];
    if length_after(body.len(), &pieces) > body.len() {
        return Ok(None);
    }
    let overwrite = |(at, bytes): &(usize, &[u8])| {
        let there = &mut body[*at..at + bytes.len()];
        let before = Box::from(&*there);
        there.copy_from_slice(bytes);
        (start + at, before)
    };
    Ok(Some(pieces.iter().map(overwrite).collect()))
}
