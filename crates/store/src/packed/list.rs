//! Reading a packed list.

use std::ops::Range;

use super::bytes::{label, length};
use super::{Element, Entries, Indexed, Packed, PackedError, Sizes};

/// A packed list, read as far as its first label. Damage shows when it is come to.
#[derive(Clone, Copy, Debug)]
pub struct PackedList<'a> {
    pub(super) head: u64,
    pub(super) elements: Packed<'a, Element>,
}

impl<'a> PackedList<'a> {
    /// Reads a body's count and first label.
    ///
    /// # Errors
    /// [`PackedError::Body`]: they cannot be read, or there cannot be as many elements or labels.
    pub fn read(body: &'a [u8]) -> Result<Self, PackedError> {
        let (len, rest) = length(body).ok_or(PackedError::Body)?;
        let (head, rest) = match len {
            0 => (super::LABEL_MIDDLE, rest),
            _ => label(rest).ok_or(PackedError::Body)?,
        };
        head.checked_add(len as u64).ok_or(PackedError::Body)?;
        let elements = Packed::of(len, rest)?;
        Ok(PackedList { head, elements })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The labels of the elements. Where an empty one begins is where a new one does.
    pub fn labels(&self) -> Range<u64> {
        self.head..self.head + self.elements.len as u64
    }

    /// The elements in their order.
    pub fn iter(&self) -> Entries<'a, Element> {
        self.elements.iter()
    }

    /// The elements from this index on, which counts from 0; none if it is past the end.
    ///
    /// # Errors
    /// [`PackedError::Body`] if those before are damaged.
    pub fn iter_from(&self, index: usize) -> Result<Entries<'a, Element>, PackedError> {
        self.elements.iter_from(index)
    }

    /// The element at this index, which counts from 0.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before it.
    pub fn get(&self, index: usize) -> Result<Option<&'a [u8]>, PackedError> {
        match index < self.len() {
            true => self.iter_from(index)?.next().transpose(),
            false => Ok(None),
        }
    }

    /// The element with this label.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before it.
    pub fn get_label(&self, label: u64) -> Result<Option<&'a [u8]>, PackedError> {
        match label.checked_sub(self.head) {
            Some(index) => self.get(usize::try_from(index).unwrap_or(usize::MAX)),
            None => Ok(None),
        }
    }

    /// Finds where each element is, in one pass: for reading by index, or backward.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn indexed(&self) -> Result<Indexed<'a, Element>, PackedError> {
        self.elements.indexed()
    }

    /// What thresholds are about, in one pass.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn sizes(&self) -> Result<Sizes, PackedError> {
        self.elements.sizes()
    }

    /// Reads everything.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn check(&self) -> Result<(), PackedError> {
        self.elements.check()
    }
}
