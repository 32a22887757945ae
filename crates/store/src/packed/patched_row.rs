//! Applying a patch to a whole row.

use super::string::{Pieces, Sink, StringChanges, apply_pieces, length_after};
use super::{Expiry, PackedError, Patch, apply_into};
use crate::row::{Header, Kind};

/// Appends the row that a patch makes of a row, or of none: the type stays what it is, the expiry too if the patch does not
/// give another, and a row out of nothing has no expiry unless the patch gives one.
///
/// # Errors
/// Nothing is appended. [`PackedError::NotPacked`] and [`PackedError::OtherKind`] if the row is not what the patch is
/// about, [`PackedError::Missing`] if there is none and the patch does not make one, and what [`apply_into`] gives.
pub fn patch_row(out: &mut Vec<u8>, row: Option<&[u8]>, patch: &[u8]) -> Result<(), PackedError> {
    let read = Patch::read(patch)?;
    let start = out.len();
    let (header, body) = patched_header(row, &read)?;
    // The header and a small body's count, so that nothing is moved later.
    out.reserve(body.map_or(0, <[u8]>::len) + patch.len() + 32);
    header.write(out);
    let applied = apply_into(out, header.kind, body, patch);
    if applied.is_err() {
        out.truncate(start);
    }
    applied
}

/// A row that a patch makes, whose length is known before it is written, so that what is large is copied once.
pub(crate) struct PatchedRow<'p> {
    /// The header; or the whole row.
    front: Vec<u8>,
    body: &'p [u8],
    pieces: Pieces<'p>,
    len: usize,
}

impl<'p> PatchedRow<'p> {
    /// What a patch makes of a row, or of none: what [`patch_row`] does.
    ///
    /// # Errors
    /// Those of [`patch_row`].
    pub(crate) fn new(row: Option<&'p [u8]>, patch: &'p [u8]) -> Result<Self, PackedError> {
        let read = Patch::read(patch)?;
        let (header, body) = patched_header(row, &read)?;
        let is_of_bytes = header.kind == Kind::String && read.kind() == Some(Kind::String);
        if !is_of_bytes && read.kind().is_some() {
            let mut front = Vec::new();
            patch_row(&mut front, row, patch)?;
            return Ok(PatchedRow {
                len: front.len(),
                front,
                body: &[],
                pieces: Pieces::new(),
            });
        }
        // Without a kind there are no changes.
        let pieces = StringChanges::new(read.changes).collect_all()?;
        let body = body.unwrap_or_default();
        let front = header.bytes().to_vec();
        Ok(PatchedRow {
            len: front.len() + length_after(body.len(), &pieces),
            front,
            body,
            pieces,
        })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Writes it.
    pub(crate) fn write(&self, out: &mut impl Sink) {
        out.bytes(&self.front);
        apply_pieces(out, self.body, &self.pieces);
    }
}

/// The header that a patch leaves, and the body that it is about.
pub(super) fn patched_header<'r>(
    row: Option<&'r [u8]>,
    patch: &Patch<'_>,
) -> Result<(Header, Option<&'r [u8]>), PackedError> {
    let (mut header, body) = match row {
        None => {
            let kind = patch.kind().ok_or(PackedError::Missing)?;
            let header = Header {
                kind,
                expire_at: None,
                packed: kind.packs(),
                home: None,
            };
            (header, None)
        }
        Some(row) => {
            let (header, length) = Header::read(row).ok_or(PackedError::NotPacked)?;
            if patch.kind().is_some() && header.kind != Kind::String && !header.packed {
                return Err(PackedError::NotPacked);
            }
            (header, Some(&row[length..]))
        }
    };
    match patch.expiry() {
        Expiry::Kept => {}
        Expiry::Stays => header.expire_at = None,
        Expiry::At(at) => header.expire_at = Some(at),
    }
    Ok((header, body))
}
