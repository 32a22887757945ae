//! Applying a patch to a whole row.

use super::{PackedError, Patch, apply_into};
use crate::row::Header;

/// Appends the row that a patch makes of a row, or of none: type and expiry stay what they are, and a row out of nothing
/// has no expiry.
///
/// # Errors
/// Nothing is appended. [`PackedError::NotPacked`] and [`PackedError::OtherKind`] if the row is not what the patch is
/// about, and what [`apply_into`] gives.
pub fn patch_row(out: &mut Vec<u8>, row: Option<&[u8]>, patch: &[u8]) -> Result<(), PackedError> {
    let start = out.len();
    let applied = match row {
        None => {
            let kind = Patch::read(patch)?.kind();
            // The header and a small body's count, so that nothing is moved later.
            out.reserve(patch.len() + 32);
            let header = Header {
                kind,
                expire_at: None,
                packed: true,
                home: None,
            };
            header.write(out);
            apply_into(out, kind, None, patch)
        }
        Some(row) => {
            let (header, length) = Header::read(row).ok_or(PackedError::NotPacked)?;
            if !header.packed {
                return Err(PackedError::NotPacked);
            }
            let (front, body) = row.split_at(length);
            out.reserve(row.len() + patch.len() + 32);
            out.extend_from_slice(front);
            apply_into(out, header.kind, Some(body), patch)
        }
    };
    if applied.is_err() {
        out.truncate(start);
    }
    applied
}
