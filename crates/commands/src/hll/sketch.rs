//! A HyperLogLog in its bytes.

use std::borrow::Cow;

use super::estimate::estimate;
use super::{CORRUPT, Histogram, INDEX_BITS, NOT_HLL, REGISTERS, Registers, dense, sparse};
use crate::CommandError;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const CACHE: std::ops::Range<usize> = 8..16;
/// In the last byte of the cached count: it is out of date.
const STALE: u8 = 0x80;
const HEADER_BYTES: usize = 16;

/// The seed that Redis gives to MurmurHash64A.
const SEED: u64 = 0xadc8_3b19;

/// The bytes of a value: borrowed until something changes.
#[derive(Clone)]
pub(super) struct Sketch<'a> {
    bytes: Cow<'a, [u8]>,
}

impl<'a> Sketch<'a> {
    /// One that has seen nothing.
    pub(super) fn empty() -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 2);
        bytes.extend_from_slice(MAGIC);
        bytes.push(SPARSE);
        bytes.resize(HEADER_BYTES, 0);
        sparse::write_empty(&mut bytes);
        Sketch {
            bytes: Cow::Owned(bytes),
        }
    }

    /// Takes a string for a HyperLogLog if its header says so. The registers are checked where they are read.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, CommandError> {
        let right = bytes.starts_with(MAGIC)
            && bytes.len() >= HEADER_BYTES
            && match bytes[ENCODING] {
                DENSE => bytes.len() == HEADER_BYTES + dense::BYTES,
                encoding => encoding == SPARSE,
            };
        match right {
            true => Ok(Sketch {
                bytes: Cow::Borrowed(bytes),
            }),
            false => Err(NOT_HLL),
        }
    }

    /// The whole value.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole value, on its own.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_owned()
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.bytes[ENCODING] == SPARSE
    }

    /// The registers as they are encoded.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The count that was kept, if it still holds.
    pub(super) fn cached_count(&self) -> Option<u64> {
        let bytes: [u8; 8] = self.bytes[CACHE].try_into().ok()?;
        (bytes[7] & STALE == 0).then_some(u64::from_le_bytes(bytes))
    }

    /// Keeps a count until the next change.
    pub(super) fn cache_count(&mut self, count: u64) {
        self.bytes.to_mut()[CACHE].copy_from_slice(&count.to_le_bytes());
    }

    /// Says that the kept count does not hold any more.
    pub(super) fn invalidate_cache(&mut self) {
        self.bytes.to_mut()[CACHE.end - 1] |= STALE;
    }

    /// Computes the count.
    pub(super) fn count(&self) -> Result<u64, CommandError> {
        let histogram = match self.is_sparse() {
            true => sparse::histogram(self.payload())?,
            false => dense::histogram(self.payload()),
        };
        Ok(estimate(&histogram))
    }

    /// Raises `into` to the registers here.
    pub(super) fn merge_into(&self, into: &mut Registers) -> Result<(), CommandError> {
        match self.is_sparse() {
            true => sparse::merge(self.payload(), into),
            false => {
                dense::merge(self.payload(), into);
                Ok(())
            }
        }
    }

    /// Adds an element; true if a register changed. The kept count is left as it is. A sparse value that would grow beyond
    /// `sparse_bytes_max` becomes dense.
    pub(super) fn add(&mut self, element: &[u8], sparse_bytes_max: usize) -> Result<bool, CommandError> {
        let (index, value) = register_of(element);
        self.raise(index, value, sparse_bytes_max)
    }

    /// Raises a register to `value` if it is less; true if it was. The kept count is left as it is. As to
    /// `sparse_bytes_max`, see [`Sketch::add`].
    pub(super) fn raise(&mut self, index: usize, value: u8, sparse_bytes_max: usize) -> Result<bool, CommandError> {
        if self.is_sparse() {
            if value <= sparse::VALUE_MAX {
                let place = sparse::find(self.payload(), index)?;
                if place.value() >= value {
                    return Ok(false);
                }
                let bytes = self.bytes.to_mut();
                if sparse::raise(bytes, HEADER_BYTES, &place, index, value, sparse_bytes_max) {
                    return Ok(true);
                }
            }
            self.make_dense()?;
        }
        if dense::get(self.payload(), index) >= value {
            return Ok(false);
        }
        dense::set(&mut self.bytes.to_mut()[HEADER_BYTES..], index, value);
        Ok(true)
    }

    /// Changes the encoding to dense, if it is not that.
    pub(super) fn make_dense(&mut self) -> Result<(), CommandError> {
        if !self.is_sparse() {
            return Ok(());
        }
        let mut dense = Vec::with_capacity(HEADER_BYTES + dense::BYTES);
        dense.extend_from_slice(&self.bytes[..HEADER_BYTES]);
        dense[ENCODING] = DENSE;
        dense.resize(HEADER_BYTES + dense::BYTES, 0);
        let mut index = 0;
        for run in sparse::runs(self.payload()) {
            if index + run.len() > REGISTERS {
                return Err(CORRUPT);
            }
            if let sparse::Run::Values(value, len) = run {
                (index..index + len).for_each(|index| dense::set(&mut dense[HEADER_BYTES..], index, value));
            }
            index += run.len();
        }
        if index != REGISTERS {
            return Err(CORRUPT);
        }
        self.bytes = Cow::Owned(dense);
        Ok(())
    }
}

/// The register that an element concerns, and the value that it has at least then.
fn register_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur2::murmur64a(element, SEED);
    let index = hash as usize % REGISTERS;
    // The bit after the last of the hash ends the zeros in any case.
    let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
    (index, rest.trailing_zeros() as u8 + 1)
}

/// The count of registers that are a byte each.
pub(super) fn count_of(registers: &Registers) -> u64 {
    let mut histogram: Histogram = [0; 64];
    // They come from 6 bits.
    registers
        .iter()
        .for_each(|&value| histogram[usize::from(value) % 64] += 1);
    estimate(&histogram)
}
