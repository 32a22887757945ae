//! Reading patches.

use std::marker::PhantomData;

use super::bytes::{blob, label, length};
use super::shape::{Keyed, KeyedChange};
use super::{Hash, PackedError, Set, Zset};
use crate::row::Kind;

const KIND: u8 = 0x0f;
/// Of a list's patch: the label that becomes the first follows.
const HEAD: u8 = 0x10;
/// Of a list's patch: the label that becomes the one after the last follows.
const END: u8 = 0x20;

/// A patch, read as far as its entries. Damage shows when it is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    kind: Kind,
    pub(super) kept: Kept,
    pub(super) changes: &'a [u8],
}

/// The labels of a list that stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// From here on.
    pub(super) head: Option<u64>,
    /// Before this one.
    pub(super) end: Option<u64>,
}

/// One thing that a patch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A hash's field has this value, or is gone.
    Field(&'a [u8], Option<&'a [u8]>),
    /// A set has this member, or has not.
    Member(&'a [u8], bool),
    /// A sorted set's member has this score, or is gone.
    Score(&'a [u8], Option<u64>),
    /// A list's elements with smaller labels are gone.
    Head(u64),
    /// A list's elements with this label and greater ones are gone.
    End(u64),
    /// A list has this element under a label.
    Element(u64, &'a [u8]),
}

impl Kept {
    pub(super) fn has(self, label: u64) -> bool {
        self.head.is_none_or(|head| label >= head) && self.end.is_none_or(|end| label < end)
    }
}

impl<'a> Patch<'a> {
    /// Reads the front of a patch.
    ///
    /// # Errors
    /// [`PackedError::Patch`].
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, PackedError> {
        Self::front(bytes).ok_or(PackedError::Patch)
    }

    #[inline]
    fn front(bytes: &'a [u8]) -> Option<Self> {
        let (&first, mut changes) = bytes.split_first()?;
        let kind = Kind::from_number(first & KIND).filter(|kind| kind.packs())?;
        let mut kept = Kept::default();
        if first & !KIND != 0 {
            if kind != Kind::List || first & !(KIND | HEAD | END) != 0 {
                return None;
            }
            for (flag, at) in [(HEAD, &mut kept.head), (END, &mut kept.end)] {
                if first & flag != 0 {
                    let (label, rest) = label(changes)?;
                    (*at, changes) = (Some(label), rest);
                }
            }
        }
        Some(Patch { kind, kept, changes })
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it says, one after the other. Of a list, which labels stay comes first.
    pub fn changes(&self) -> Changes<'a> {
        let entries = match self.kind {
            Kind::Hash => Typed::Hash(KeyedChanges::new(self.changes)),
            Kind::Set => Typed::Set(KeyedChanges::new(self.changes)),
            Kind::Zset => Typed::Zset(KeyedChanges::new(self.changes)),
            // Nothing else is read as a patch.
            Kind::List | Kind::String | Kind::Stream => Typed::List(ListChanges::new(self.changes)),
        };
        Changes {
            kept: self.kept,
            entries,
        }
    }
}

/// The front of a patch for anything but a list.
pub(super) fn write_front(out: &mut Vec<u8>, kind: Kind) {
    out.push(kind as u8);
}

/// The front of a list's patch.
pub(super) fn write_list_front(out: &mut Vec<u8>, kept: Kept) {
    let flag = |flag, label: Option<u64>| if label.is_some() { flag } else { 0 };
    out.push(Kind::List as u8 | flag(HEAD, kept.head) | flag(END, kept.end));
    for label in [kept.head, kept.end].into_iter().flatten() {
        super::bytes::write_label(out, label);
    }
}

/// What a patch says. After an error it ends.
pub struct Changes<'a> {
    kept: Kept,
    entries: Typed<'a>,
}

enum Typed<'a> {
    Hash(KeyedChanges<'a, Hash>),
    Set(KeyedChanges<'a, Set>),
    Zset(KeyedChanges<'a, Zset>),
    List(ListChanges<'a>),
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(head) = self.kept.head.take() {
            return Some(Ok(Change::Head(head)));
        }
        if let Some(end) = self.kept.end.take() {
            return Some(Ok(Change::End(end)));
        }
        Some(match &mut self.entries {
            Typed::Hash(fields) => fields.next()?.map(|(field, value)| Change::Field(field, value)),
            Typed::Set(members) => members.next()?.map(|(member, is)| Change::Member(member, is.is_some())),
            Typed::Zset(members) => members.next()?.map(|(member, score)| Change::Score(member, score)),
            Typed::List(elements) => elements.next()?.map(|(label, element)| Change::Element(label, element)),
        })
    }
}

/// The entries of a patch about keys, of which it makes sure that they are in order. After an error it ends.
pub(super) struct KeyedChanges<'a, S> {
    rest: &'a [u8],
    last: Option<&'a [u8]>,
    shape: PhantomData<S>,
}

impl<'a, S: Keyed> KeyedChanges<'a, S> {
    pub(super) fn new(changes: &'a [u8]) -> Self {
        KeyedChanges {
            rest: changes,
            last: None,
            shape: PhantomData,
        }
    }
}

impl<'a, S: Keyed> Iterator for KeyedChanges<'a, S> {
    type Item = Result<KeyedChange<'a, S>, PackedError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = S::change(self.rest).filter(|((key, _), _)| self.last < Some(key));
        let Some((change, rest)) = read else {
            self.rest = &[];
            return Some(Err(PackedError::Patch));
        };
        (self.last, self.rest) = (Some(change.0), rest);
        Some(Ok(change))
    }
}

/// The elements that a list's patch gives to labels, in ascending order. After an error it ends.
pub(super) struct ListChanges<'a> {
    rest: &'a [u8],
    /// The label after the last one that was read.
    next: Option<u64>,
    left_in_run: u64,
}

impl<'a> ListChanges<'a> {
    pub(super) fn new(changes: &'a [u8]) -> Self {
        ListChanges {
            rest: changes,
            next: None,
            left_in_run: 0,
        }
    }

    fn read(&mut self) -> Option<(u64, &'a [u8])> {
        let mut at = self.next;
        if self.left_in_run == 0 {
            let (first, rest) = label(self.rest)?;
            let (count, rest) = length(rest)?;
            // Runs that touch are one.
            let is_run = count > 0 && at.is_none_or(|next| first > next) && first.checked_add(count as u64).is_some();
            if !is_run {
                return None;
            }
            (at, self.left_in_run, self.rest) = (Some(first), count as u64, rest);
        }
        let at = at?;
        let (element, rest) = blob(self.rest)?;
        (self.next, self.rest) = (Some(at + 1), rest);
        self.left_in_run -= 1;
        Some((at, element))
    }
}

impl<'a> Iterator for ListChanges<'a> {
    type Item = Result<(u64, &'a [u8]), PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left_in_run == 0 && self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            (self.left_in_run, self.rest) = (0, &[]);
        }
        Some(read.ok_or(PackedError::Patch))
    }
}
