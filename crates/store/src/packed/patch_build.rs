//! Writing patches, from changes in the order in which a command makes them.

use smallvec::SmallVec;

use super::bytes::{write_blob, write_label, write_length};
use super::patch::{Expiry, Kept, write_front, write_list_front, write_whole_front};
use super::shape::{Keyed, KeyedChange};
use super::{Hash, Set, Zset};

/// Appends a patch that gives a row of any kind another expiry, in milliseconds since the epoch, or none.
pub fn write_expiry_patch(out: &mut Vec<u8>, expire_at: Option<u64>) {
    let expiry = expire_at.map_or(Expiry::Stays, Expiry::At);
    write_whole_front(out, None, expiry, Kept::default());
}

/// Changes that are kept without allocating: a command usually has one.
const CHANGES_INLINE: usize = 4;

/// Changes of keys. The last about a key counts.
struct KeyedPatch<'v, S: Keyed>(SmallVec<[KeyedChange<'v, S>; CHANGES_INLINE]>);

impl<'v, S: Keyed> KeyedPatch<'v, S> {
    fn write(&self, out: &mut Vec<u8>) {
        write_front(out, S::KIND);
        let is_in_order = self.0.is_sorted_by(|first, second| first.0 < second.0);
        if is_in_order {
            self.0.iter().for_each(|(key, value)| S::write_change(out, key, *value));
            return;
        }
        let mut changes: SmallVec<[&KeyedChange<'v, S>; CHANGES_INLINE]> = self.0.iter().collect();
        // Stable: of the changes about a key the last comes last.
        changes.sort_by_key(|change| change.0);
        for (at, (key, value)) in changes.iter().enumerate() {
            if changes.get(at + 1).is_none_or(|next| next.0 != *key) {
                S::write_change(out, key, *value);
            }
        }
    }
}

impl<S: Keyed> Default for KeyedPatch<'_, S> {
    fn default() -> Self {
        KeyedPatch(SmallVec::new())
    }
}

/// What a command does to a hash.
#[derive(Default)]
pub struct HashPatch<'v>(KeyedPatch<'v, Hash>);

impl<'v> HashPatch<'v> {
    /// A field has this value.
    pub fn set(&mut self, field: &'v [u8], value: &'v [u8]) {
        self.0.0.push((field, Some(value)));
    }

    /// A field is gone.
    pub fn delete(&mut self, field: &'v [u8]) {
        self.0.0.push((field, None));
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Appends the patch.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

/// What a command does to a set.
#[derive(Default)]
pub struct SetPatch<'v>(KeyedPatch<'v, Set>);

impl<'v> SetPatch<'v> {
    /// This is a member.
    pub fn add(&mut self, member: &'v [u8]) {
        self.0.0.push((member, Some(())));
    }

    /// This is no member.
    pub fn delete(&mut self, member: &'v [u8]) {
        self.0.0.push((member, None));
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Appends the patch.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

/// What a command does to a sorted set.
#[derive(Default)]
pub struct ZsetPatch<'v>(KeyedPatch<'v, Zset>);

impl<'v> ZsetPatch<'v> {
    /// A member has this score.
    pub fn set(&mut self, member: &'v [u8], score: u64) {
        self.0.0.push((member, Some(score)));
    }

    /// This is no member.
    pub fn delete(&mut self, member: &'v [u8]) {
        self.0.0.push((member, None));
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Appends the patch.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

/// Elements under their labels, ascending.
pub(super) type Elements<'v> = SmallVec<[(u64, &'v [u8]); CHANGES_INLINE]>;

/// What a command does to a list. Each change is about what the ones before it have left.
#[derive(Default)]
pub struct ListPatch<'v> {
    kept: Kept,
    elements: Elements<'v>,
}

impl<'v> ListPatch<'v> {
    /// There is this element under a label: one that the list has, or the one before its first or after its last.
    ///
    /// # Panics
    /// If the label is `u64::MAX`, which no list reaches.
    pub fn set(&mut self, label: u64, element: &'v [u8]) {
        assert!(label < u64::MAX, "a list's label is out of range");
        match self.elements.binary_search_by_key(&label, |(label, _)| *label) {
            Ok(at) => self.elements[at].1 = element,
            Err(at) => self.elements.insert(at, (label, element)),
        }
    }

    /// The list begins with this label: elements with smaller ones are gone.
    pub fn head(&mut self, label: u64) {
        self.kept.head = self.kept.head.max(Some(label));
        self.elements.retain(|(at, _)| *at >= label);
    }

    /// The list ends before this label: elements with this one and greater ones are gone.
    pub fn end(&mut self, label: u64) {
        self.kept.end = Some(self.kept.end.map_or(label, |end| end.min(label)));
        self.elements.retain(|(at, _)| *at < label);
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.kept == Kept::default() && self.elements.is_empty()
    }

    /// Appends the patch.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_list_front(out, self.kept);
        write_elements(out, &self.elements);
    }
}

/// Appends what a list's patch gives to labels.
pub(super) fn write_elements(out: &mut Vec<u8>, elements: &[(u64, &[u8])]) {
    for run in elements.chunk_by(|(label, _), (next, _)| *next == label + 1) {
        write_label(out, run[0].0);
        write_length(out, run.len());
        run.iter().for_each(|(_, element)| write_blob(out, element));
    }
}
