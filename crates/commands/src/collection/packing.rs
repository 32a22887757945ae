//! Elements that stand in one row, under the names that they have where each has a row of its own.

use std::borrow::Cow;
use std::ops::Range;

use haypile_store::keys::spread;
use haypile_store::packed::{
    self, HashPatch, ListPatch, PackedHash, PackedList, PackedSet, PackedZset, SetPatch, ZsetPatch,
};
use haypile_store::row::Kind;
use haypile_store::{Direction, SharedValue, StoreError, Value};
use smallvec::SmallVec;

use super::ordered::Ordered;
use crate::set;
use crate::zset::{INDEX, MEMBER};

/// The elements of a packed collection: those of the body, and what a command has changed since it was read.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    kind: Kind,
    body: Body,
    /// What has changed since the body was read, in the order of the names.
    changes: Vec<Change>,
    /// True if the row that is stored has all of it.
    is_stored: bool,
    /// Lists: the labels of the row that is stored, if not the body's.
    stored_labels: Option<Range<u64>>,
}

/// A body as it was read.
#[derive(Clone, Debug)]
enum Body {
    Missing,
    /// What follows the header in a row, which begins there.
    Shared(SharedValue, usize),
    Owned(Box<[u8]>),
}

#[derive(Clone, Debug)]
struct Change {
    name: Bytes,
    /// `None`: it is gone.
    value: Option<Bytes>,
}

/// A field, member, label or value. Usual ones take no memory of their own.
type Bytes = SmallVec<[u8; 40]>;

/// An element's name, and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Bytes of a patch, and of each change in it beyond name and value, about.
const PATCH_BYTES: usize = 24;
const CHANGE_BYTES: usize = 8;

/// The body of nothing.
const NOTHING: &[u8] = &[0];

/// Bytes of a score.
const SCORE_BYTES: usize = 8;

/// What a body has for an element.
pub(super) enum Name<'e> {
    /// A field, a member, or a list's label.
    Of(&'e [u8]),
    /// A member's place in the order of scores, which follows from its score.
    Index(&'e [u8]),
}

impl Packing {
    /// Without elements, and not stored.
    pub(crate) fn new(kind: Kind) -> Self {
        Packing {
            kind,
            body: Body::Missing,
            changes: Vec::new(),
            is_stored: false,
            stored_labels: None,
        }
    }

    /// The body that begins there in a row that is stored.
    pub(crate) fn of(kind: Kind, row: Value<'_>, start: usize) -> Self {
        let body = match row.share() {
            Ok(row) => Body::Shared(row, start),
            Err(row) => Body::Owned(Box::from(&row[start..])),
        };
        Packing {
            kind,
            body,
            changes: Vec::new(),
            is_stored: true,
            stored_labels: None,
        }
    }

    /// The body as it was read.
    pub(crate) fn body(&self) -> &[u8] {
        self.stored_body().unwrap_or(NOTHING)
    }

    fn stored_body(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Missing => None,
            Body::Shared(row, start) => row.get(*start..),
            Body::Owned(body) => Some(body),
        }
    }

    /// Things that have changed since it was read.
    pub(crate) fn changes(&self) -> usize {
        self.changes.len()
    }

    /// True if the row that is stored has all of it.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
    }

    fn name<'e>(&self, element: &'e [u8]) -> Result<Name<'e>, StoreError> {
        name_of(self.kind, element)
            .ok_or_else(|| StoreError::Corrupt("an element of a packed collection is cut short".into()))
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.changes.binary_search_by(|change| (*change.name).cmp(name))
    }

    /// The value of an element.
    pub(crate) fn get(&self, element: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        let Name::Of(name) = self.name(element)? else {
            return Ok(None);
        };
        if let Ok(at) = self.find(name) {
            return Ok(self.changes[at].value.as_deref().map(Cow::Borrowed));
        }
        let body = self.body();
        Ok(match self.kind {
            Kind::Hash => PackedHash::read(body)?.get(name)?.map(Cow::Borrowed),
            Kind::Set => PackedSet::read(body)?.contains(name)?.then_some(Cow::Borrowed(&[])),
            Kind::Zset => {
                let score = PackedZset::read(body)?.score(name)?;
                score.map(|score| Cow::Owned(score.to_be_bytes().to_vec()))
            }
            Kind::List => PackedList::read(body)?.get_label(number(name)?)?.map(Cow::Borrowed),
            Kind::String | Kind::Stream => None,
        })
    }

    /// Changes an element; `None` removes it.
    pub(crate) fn set(&mut self, element: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let Name::Of(name) = self.name(element)? else {
            return Ok(());
        };
        self.is_stored = false;
        let value = value.map(Bytes::from_slice);
        // They mostly come in order.
        let at = match self.changes.last() {
            None => Err(0),
            Some(last) if *last.name < *name => Err(self.changes.len()),
            Some(_) => self.find(name),
        };
        match at {
            Ok(at) => self.changes[at].value = value,
            Err(at) => {
                let name = Bytes::from_slice(name);
                self.changes.insert(at, Change { name, value });
            }
        }
        Ok(())
    }

    /// What has changed as a patch; `indexes` are those of a list's elements from now on.
    pub(crate) fn patch(&self, indexes: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let sizes = self.changes.iter().map(|change| {
            let value = change.value.as_ref().map_or(0, |value| value.len());
            change.name.len() + value + CHANGE_BYTES
        });
        let mut patch = Vec::with_capacity(PATCH_BYTES + sizes.sum::<usize>());
        let changes = self
            .changes
            .iter()
            .map(|change| (&change.name[..], change.value.as_deref()));
        match self.kind {
            Kind::Hash => {
                let mut hash = HashPatch::default();
                changes.for_each(|(field, value)| match value {
                    Some(value) => hash.set(field, value),
                    None => hash.delete(field),
                });
                hash.write(&mut patch);
            }
            Kind::Set => {
                let mut set = SetPatch::default();
                changes.for_each(|(member, value)| match value {
                    Some(_) => set.add(member),
                    None => set.delete(member),
                });
                set.write(&mut patch);
            }
            Kind::Zset => {
                let mut zset = ZsetPatch::default();
                for (member, value) in changes {
                    match value {
                        Some(score) => zset.set(member, number(score)?),
                        None => zset.delete(member),
                    }
                }
                zset.write(&mut patch);
            }
            Kind::List => {
                let mut list = ListPatch::default();
                for (name, value) in changes {
                    if let Some(element) = value {
                        list.set(number(name)?, element);
                    }
                }
                // It must fit both what was read and what is stored.
                let read = PackedList::read(self.body())?.labels();
                let stored = self.stored_labels.as_ref().unwrap_or(&read);
                if indexes.start > read.start.min(stored.start) {
                    list.head(indexes.start);
                }
                if indexes.end < read.end.max(stored.end) {
                    list.end(indexes.end);
                }
                list.write(&mut patch);
            }
            Kind::String | Kind::Stream => {}
        }
        Ok(patch)
    }

    /// The body with the changes.
    pub(crate) fn apply(&self, out: &mut Vec<u8>, patch: &[u8]) -> Result<(), StoreError> {
        Ok(packed::apply_into(out, self.kind, self.stored_body(), patch)?)
    }

    /// What there is now is stored; `indexes` are those of a list's elements. What it was when it was read stays, and the changes with
    /// it: few commands go on with what they have stored, and to say the same once more changes nothing.
    pub(crate) fn has_been_stored(&mut self, indexes: Range<u64>) {
        self.is_stored = true;
        self.stored_labels = Some(indexes);
    }

    /// The elements from `lower` up to but not including `upper` (`None`: to the end), where that takes no more than to go
    /// through the body.
    pub(crate) fn ordered(
        &self,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<Option<Ordered<'_>>, StoreError> {
        match self.changes.is_empty() {
            true => Ordered::new(self.kind, self.body(), (lower, upper), direction),
            false => Ok(None),
        }
    }

    /// The entry with this rank in the body's own order, which is no order of names for sets: its name and value. `None` if there
    /// is none, or if something has changed since the body was read.
    pub(crate) fn nth(&self, rank: usize) -> Result<Option<Entry>, StoreError> {
        if !self.changes.is_empty() {
            return Ok(None);
        }
        let body = self.body();
        let entry = match self.kind {
            Kind::Hash => PackedHash::read(body)?.iter_from(rank)?.next().transpose()?,
            Kind::Set => {
                let member = PackedSet::read(body)?.iter_from(rank)?.next().transpose()?;
                member.map(|member| (member, &[][..]))
            }
            Kind::Zset | Kind::List | Kind::String | Kind::Stream => None,
        };
        let mut found = None;
        if let Some((name, value)) = entry {
            each_of(self.kind, &mut Vec::new(), name, value, &mut |element, value| {
                found = Some((element.to_vec(), value.to_vec()));
            });
        }
        Ok(found)
    }

    /// The elements between two bounds as [`Packing::ordered`] gives them, in any case.
    pub(crate) fn range(&self, lower: &[u8], upper: Option<&[u8]>, direction: Direction) -> Result<Rows, StoreError> {
        let mut rows = Rows::default();
        for_each_element(self.kind, self.body(), |element, value| {
            let is_in = element >= lower && upper.is_none_or(|upper| element < upper);
            // What has changed comes below.
            let has_changed = |element| match name_of(self.kind, element) {
                Some(Name::Of(name) | Name::Index(name)) => self.find(name).is_ok(),
                None => false,
            };
            if is_in && (self.changes.is_empty() || !has_changed(element)) {
                rows.push(element, value);
            }
        })?;
        let mut element = Vec::new();
        for change in &self.changes {
            let Some(value) = &change.value else { continue };
            each_of(self.kind, &mut element, &change.name, value, &mut |element, value| {
                if element >= lower && upper.is_none_or(|upper| element < upper) {
                    rows.push(element, value);
                }
            });
        }
        rows.sort(direction);
        Ok(rows)
    }
}

/// What a body has for an element; `None` if it is cut short.
pub(super) fn name_of(kind: Kind, element: &[u8]) -> Option<Name<'_>> {
    let name = match kind {
        Kind::Hash | Kind::List => Some(element),
        Kind::Set => set::member_of(element),
        Kind::Zset if element.first() == Some(&INDEX) => {
            return element.get(1 + SCORE_BYTES..).map(Name::Index);
        }
        Kind::Zset => element.get(1 + set::SPREAD..),
        Kind::String | Kind::Stream => None,
    };
    name.map(Name::Of)
}

/// The field or member in an element; `None` if it is cut short.
pub(crate) fn field_or_member(kind: Kind, element: &[u8]) -> Option<&[u8]> {
    name_of(kind, element).map(|(Name::Of(name) | Name::Index(name))| name)
}

/// Visits the elements of a body, under the names and with the values that they have where each has a row of its own; in no
/// order.
pub(crate) fn for_each_element(kind: Kind, body: &[u8], mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
    let mut element = Vec::new();
    match kind {
        Kind::Hash => {
            for entry in PackedHash::read(body)?.iter() {
                let (field, value) = entry?;
                visit(field, value);
            }
        }
        Kind::Set => {
            for member in PackedSet::read(body)?.iter() {
                each_of(kind, &mut element, member?, &[], &mut visit);
            }
        }
        Kind::Zset => {
            for entry in PackedZset::read(body)?.iter() {
                let (score, member) = entry?;
                each_of(kind, &mut element, member, &score.to_be_bytes(), &mut visit);
            }
        }
        Kind::List => {
            let list = PackedList::read(body)?;
            for (label, value) in list.labels().zip(list.iter()) {
                visit(&label.to_be_bytes(), value?);
            }
        }
        Kind::String | Kind::Stream => {}
    }
    Ok(())
}

/// The elements that a name and its value stand for.
fn each_of(kind: Kind, element: &mut Vec<u8>, name: &[u8], value: &[u8], visit: &mut impl FnMut(&[u8], &[u8])) {
    let put_together = |element: &mut Vec<u8>, parts: &[&[u8]]| {
        element.clear();
        parts.iter().for_each(|part| element.extend_from_slice(part));
    };
    match kind {
        Kind::Set => {
            put_together(element, &[&spread(name).to_be_bytes(), name]);
            visit(element, value);
        }
        Kind::Zset => {
            put_together(element, &[&[MEMBER], &spread(name).to_be_bytes(), name]);
            visit(element, value);
            put_together(element, &[&[INDEX], value, name]);
            visit(element, &[]);
        }
        _ => visit(name, value),
    }
}

fn number(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map(u64::from_be_bytes);
    bytes.map_err(|_| StoreError::Corrupt("a number of a packed collection does not have 8 bytes".into()))
}

/// Elements in order, one behind the other in the same memory.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    /// The next at the end.
    rows: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    element: u32,
    value: u32,
    end: u32,
}

impl Rows {
    fn push(&mut self, element: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(element);
        self.bytes.extend_from_slice(value);
        self.rows.push(Place {
            element: start as u32,
            value: (start + element.len()) as u32,
            end: self.bytes.len() as u32,
        });
    }

    fn sort(&mut self, direction: Direction) {
        let bytes = &self.bytes;
        let element = |place: &Place| &bytes[place.element as usize..place.value as usize];
        self.rows.sort_unstable_by(|a, b| element(b).cmp(element(a)));
        if direction == Direction::Reverse {
            self.rows.reverse();
        }
    }

    /// The next element and its value.
    pub(crate) fn next(&mut self) -> Option<(&[u8], &[u8])> {
        let Place { element, value, end } = self.rows.pop()?;
        let (element, value, end) = (element as usize, value as usize, end as usize);
        Some((&self.bytes[element..value], &self.bytes[value..end]))
    }
}

#[cfg(test)]
mod tests;
