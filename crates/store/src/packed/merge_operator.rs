//! Patches as RocksDB's merge operands: a row that was changed need not be read to be written.
//!
//! # When patches do not fit
//!
//! A patch meets a row that is not packed, or of another type, or damaged bytes, or it leaves a gap in a list: this cannot be unless
//! there is a fault in the program, since logs and tables have checksums. What must not happen then is that somebody
//! reads data that are silently wrong, so neither keeping the row nor applying half of the patches will do.
//!
//! RocksDB offers failure. A read of the key then fails, but so does the flush or the compaction that comes to it, with
//! an error that RocksDB does not recover from: the whole partition refuses writes, after every restart again, and on its
//! replicas as well, because they have the same patches. (RocksDB could confine the failure to reads, by the scope
//! `kMustMerge`, but its C interface cannot say so.)
//!
//! So the result is a row that is no row: a tag that no kind has, and then everything that did not go together, so that
//! nothing is lost. Reading the key is an error that says that the store is corrupt; all other keys go on. Whatever is
//! written in place of the row heals it.
//!
//! ```text
//! 0x0f | 0, or 1 and then the row's length varint | [row] | (patch length varint | patch)*
//! ```

use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{MergeOperands, Options};

use super::bytes::write_blob;
use super::{PackedError, combine_all, patch_row};
use crate::row::DAMAGED;

/// The name under which RocksDB's options have it.
const NAME: &str = "haypile.patches";

/// Bytes of what did not go together from which on patches are no longer added to it.
const DAMAGED_BYTES_MAX: usize = 64 << 10;

/// Lets a column family take patches.
pub(crate) fn register(options: &mut Options) {
    // Once for each column family opened: reads meet the same rows again and again, and each says so by itself.
    let is_told = AtomicBool::new(false);
    let full = move |key: &[u8], row: Option<&[u8]>, patches: &MergeOperands| {
        let (row, error) = patched(row, patches);
        if let Some(error) = error
            && !is_told.swap(true, Ordering::Relaxed)
        {
            tracing::error!(key = %key.escape_ascii(), %error, "a row cannot be patched; reading it fails from now on");
        }
        Some(row)
    };
    // Patches that cannot be combined stay as they are, and are met again when the row is put together.
    let partial = |_: &[u8], _: Option<&[u8]>, patches: &MergeOperands| combine_all(patches).ok().flatten();
    options.set_merge_operator(NAME, full, partial);
}

/// The row that patches make of a row or of none, the oldest first; or what stands for it if they do not fit, and why.
fn patched<'p>(
    row: Option<&[u8]>,
    patches: impl IntoIterator<Item = &'p [u8]> + Copy,
) -> (Vec<u8>, Option<PackedError>) {
    let is_damaged = row.and_then(<[u8]>::first) == Some(&DAMAGED);
    let error = match fitting(row, patches) {
        Ok(row) => return (row, None),
        Err(error) => error,
    };
    let mut out = match row {
        Some(row) if is_damaged => row.to_vec(),
        row => {
            let mut out = vec![DAMAGED, u8::from(row.is_some())];
            row.into_iter().for_each(|row| write_blob(&mut out, row));
            out
        }
    };
    for patch in patches {
        if out.len() + patch.len() <= DAMAGED_BYTES_MAX {
            write_blob(&mut out, patch);
        }
    }
    (out, Some(error))
}

fn fitting<'p>(row: Option<&[u8]>, patches: impl IntoIterator<Item = &'p [u8]>) -> Result<Vec<u8>, PackedError> {
    let mut patches = patches.into_iter();
    let mut out = Vec::new();
    let first = patches.next().ok_or(PackedError::Patch)?;
    match patches.next() {
        // The usual case needs no combining.
        None => patch_row(&mut out, row, first)?,
        Some(second) => {
            let all = [first, second].into_iter().chain(patches);
            let patch = combine_all(all)?.ok_or(PackedError::Patch)?;
            patch_row(&mut out, row, &patch)?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
