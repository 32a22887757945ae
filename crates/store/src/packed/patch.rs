//! Reading patches.

use std::marker::PhantomData;

use super::bytes::{blob, label, length};
use super::shape::{Keyed, KeyedChange};
use super::string::StringChanges;
use super::{Hash, PackedError, Set, Zset};
use crate::row::Kind;

const KIND: u8 = 0x0f;
/// Of a list's patch: the label that becomes the first follows.
const HEAD: u8 = 0x10;
/// Of a list's patch: the label that becomes the one after the last follows.
const END: u8 = 0x20;
/// The row has no expiry.
const STAYS: u8 = 0x40;
/// The row's expiry follows.
const EXPIRES: u8 = 0x80;

/// A patch, read as far as its entries. Damage shows when it is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    kind: Option<Kind>,
    pub(super) expiry: Expiry,
    pub(super) kept: Kept,
    pub(super) changes: &'a [u8],
}

/// What a patch says of the time at which a row's key is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It stays as it is.
    #[default]
    Kept,
    /// There is none.
    Stays,
    /// Milliseconds since the epoch.
    At(u64),
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
    /// A string has these bytes from an offset on.
    Bytes(usize, &'a [u8]),
    /// The row has this expiry, in milliseconds since the epoch, or none.
    Expiry(Option<u64>),
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
        let kind = match first & KIND {
            0 => None,
            number => Some(Kind::from_number(number).filter(|kind| *kind != Kind::Stream)?),
        };
        let (mut expiry, mut kept) = (Expiry::Kept, Kept::default());
        if first & !KIND != 0 {
            expiry = match first & (STAYS | EXPIRES) {
                0 => Expiry::Kept,
                STAYS => Expiry::Stays,
                EXPIRES => {
                    let (at, rest) = changes.split_first_chunk::<8>()?;
                    changes = rest;
                    Expiry::At(u64::from_be_bytes(*at))
                }
                _ => return None,
            };
            if kind != Some(Kind::List) && first & (HEAD | END) != 0 {
                return None;
            }
            for (flag, at) in [(HEAD, &mut kept.head), (END, &mut kept.end)] {
                if first & flag != 0 {
                    let (label, rest) = label(changes)?;
                    (*at, changes) = (Some(label), rest);
                }
            }
        }
        // Whatever kind the row has, its expiry is all that is said of it.
        if kind.is_none() && (expiry == Expiry::Kept || !changes.is_empty()) {
            return None;
        }
        Some(Patch {
            kind,
            expiry,
            kept,
            changes,
        })
    }

    /// The type that it is about; `None` if it is about the expiry of any row.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// What it says of the expiry.
    pub fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// What it says, one after the other: first of the expiry, and of a list which labels stay.
    pub fn changes(&self) -> Changes<'a> {
        let entries = match self.kind {
            Some(Kind::Hash) => Typed::Hash(KeyedChanges::new(self.changes)),
            Some(Kind::Set) => Typed::Set(KeyedChanges::new(self.changes)),
            Some(Kind::Zset) => Typed::Zset(KeyedChanges::new(self.changes)),
            Some(Kind::List) => Typed::List(ListChanges::new(self.changes)),
            // Nothing else is read as a patch, and one about any row has no changes.
            Some(Kind::String | Kind::Stream) | None => Typed::String(StringChanges::new(self.changes)),
        };
        Changes {
            expiry: self.expiry,
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
    write_whole_front(out, Some(Kind::List), Expiry::Kept, kept);
}

/// The front of any patch.
pub(super) fn write_whole_front(out: &mut Vec<u8>, kind: Option<Kind>, expiry: Expiry, kept: Kept) {
    let flag = |flag, label: Option<u64>| if label.is_some() { flag } else { 0 };
    let expiry_flag = match expiry {
        Expiry::Kept => 0,
        Expiry::Stays => STAYS,
        Expiry::At(_) => EXPIRES,
    };
    let kind = kind.map_or(0, |kind| kind as u8);
    out.push(kind | expiry_flag | flag(HEAD, kept.head) | flag(END, kept.end));
    if let Expiry::At(at) = expiry {
        out.extend_from_slice(&at.to_be_bytes());
    }
    for label in [kept.head, kept.end].into_iter().flatten() {
        super::bytes::write_label(out, label);
    }
}

/// What a patch says. After an error it ends.
pub struct Changes<'a> {
    expiry: Expiry,
    kept: Kept,
    entries: Typed<'a>,
}

enum Typed<'a> {
    Hash(KeyedChanges<'a, Hash>),
    Set(KeyedChanges<'a, Set>),
    Zset(KeyedChanges<'a, Zset>),
    List(ListChanges<'a>),
    String(StringChanges<'a>),
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::take(&mut self.expiry) {
            Expiry::Kept => {}
            Expiry::Stays => return Some(Ok(Change::Expiry(None))),
            Expiry::At(at) => return Some(Ok(Change::Expiry(Some(at)))),
        }
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
            Typed::String(runs) => runs.next()?.map(|(offset, bytes)| Change::Bytes(offset, bytes)),
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
