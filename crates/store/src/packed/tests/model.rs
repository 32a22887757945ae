//! The models, and what is done to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::packed::*;

/// What a collection holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Set(BTreeMap<Vec<u8>, ()>),
    Zset(BTreeMap<Vec<u8>, u64>),
    List(BTreeMap<u64, Vec<u8>>),
    String(Vec<u8>),
}

/// One change. A list's are about the list as it is then.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Set(Vec<u8>, Vec<u8>, u8),
    Delete(Vec<u8>),
    Push(bool, Vec<u8>),
    Replace(u8, Vec<u8>),
    Trim(u8, u8),
}

pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Hash, Kind::Set, Kind::Zset, Kind::List, Kind::String])
}

pub(crate) fn packed_kinds() -> impl Strategy<Value = Kind> {
    kinds().prop_filter("strings are not packed", |kind| kind.packs())
}

/// Names that share beginnings or ends, and lengths on both sides of what takes one byte more.
pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0u8..3, 0..4),
        2 => (0u8..10).prop_map(|n| format!("a common beginning {n}").into_bytes()),
        2 => (0u8..10).prop_map(|n| format!("{n} a common end").into_bytes()),
        1 => (0usize..4, 0u8..2).prop_map(|(n, byte)| vec![byte; [62, 64, 127, 200][n]]),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (name(), name(), 0u8..4).prop_map(|(name, value, score)| Act::Set(name, value, score)),
        name().prop_map(Act::Delete),
        (any::<bool>(), name()).prop_map(|(left, value)| Act::Push(left, value)),
        (any::<u8>(), name()).prop_map(|(at, value)| Act::Replace(at, value)),
        (0u8..4, 0u8..4).prop_map(|(left, right)| Act::Trim(left, right)),
    ]
}

pub(crate) fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 0..most)
}

/// A collection after some changes.
pub(crate) fn content(kind: Kind, acts: &[Act]) -> Content {
    let mut content = Content::empty(kind);
    acts.iter().for_each(|act| content.change(act));
    content
}

impl Content {
    pub(crate) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Hash => Content::Hash(BTreeMap::new()),
            Kind::Set => Content::Set(BTreeMap::new()),
            Kind::Zset => Content::Zset(BTreeMap::new()),
            Kind::List => Content::List(BTreeMap::new()),
            Kind::String => Content::String(Vec::new()),
            Kind::Stream => panic!("streams are never packed"),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Content::Hash(_) => Kind::Hash,
            Content::Set(_) => Kind::Set,
            Content::Zset(_) => Kind::Zset,
            Content::List(_) => Kind::List,
            Content::String(_) => Kind::String,
        }
    }

    pub(crate) fn change(&mut self, act: &Act) {
        for step in self.steps(act) {
            self.step(&step.as_change());
        }
    }

    /// What an act comes to now. Those of other types come to the like: names of lists are pushed, pushes of maps set, and
    /// of a string bytes are written over or near its end.
    fn steps(&self, act: &Act) -> Vec<Step> {
        let (name, value, score) = match act {
            Act::Set(name, value, score) => (name, value, Some(*score)),
            Act::Delete(name) => (name, name, None),
            Act::Push(left, name) => (name, name, Some(u8::from(*left))),
            Act::Replace(at, name) => (name, name, Some(*at)),
            Act::Trim(left, right) => (&vec![*left, *right], &vec![], None),
        };
        let name = name.clone();
        match self {
            Content::Hash(_) => vec![Step::Field(name, score.map(|_| value.clone()))],
            Content::Set(_) => vec![Step::Member(name, score.is_some())],
            Content::Zset(_) => vec![Step::Score(name, score.map(u64::from))],
            Content::String(_) if name.is_empty() => vec![],
            Content::String(bytes) => {
                let offset = match act {
                    Act::Push(..) => bytes.len(),
                    Act::Delete(_) => bytes.len() + 3,
                    Act::Trim(left, right) => usize::from(left * right),
                    Act::Set(_, value, _) => value.len(),
                    Act::Replace(at, _) => usize::from(*at),
                };
                vec![Step::Bytes(offset, name)]
            }
            Content::List(list) => {
                let end = || list.last_key_value().map(|(label, _)| label + 1);
                let (head, end) = (
                    list.first_key_value().map_or(LABEL_MIDDLE, |(at, _)| *at),
                    end().unwrap_or(LABEL_MIDDLE),
                );
                match act {
                    Act::Push(true, _) => vec![Step::Element(head - 1, name)],
                    Act::Set(..) | Act::Delete(_) | Act::Push(..) => vec![Step::Element(end, name)],
                    Act::Replace(..) if list.is_empty() => vec![],
                    Act::Replace(at, _) => vec![Step::Element(head + u64::from(*at) % (end - head), name)],
                    Act::Trim(left, right) => {
                        vec![Step::Head(head + u64::from(*left)), Step::End(end - u64::from(*right))]
                    }
                }
            }
        }
    }

    pub(crate) fn step(&mut self, change: &Change<'_>) {
        fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        match (self, *change) {
            (Content::Hash(map), Change::Field(field, value)) => put(map, field.to_vec(), value.map(<[u8]>::to_vec)),
            (Content::Set(map), Change::Member(member, is)) => put(map, member.to_vec(), is.then_some(())),
            (Content::Zset(map), Change::Score(member, score)) => put(map, member.to_vec(), score),
            (Content::List(map), Change::Head(label)) => map.retain(|at, _| *at >= label),
            (Content::List(map), Change::End(label)) => map.retain(|at, _| *at < label),
            (Content::List(map), Change::Element(label, element)) => put(map, label, Some(element.to_vec())),
            (Content::String(all), Change::Bytes(offset, bytes)) => {
                let end = offset + bytes.len();
                all.resize(all.len().max(end), 0);
                all[offset..end].copy_from_slice(bytes);
            }
            (content, change) => panic!("{change:?} of {content:?}"),
        }
    }

    pub(crate) fn is_gapless(&self) -> bool {
        match self {
            Content::List(list) => list.keys().zip(list.keys().skip(1)).all(|(at, next)| at + 1 == *next),
            _ => true,
        }
    }

    /// The one body of this content.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Content::Hash(map) => write_hash(&mut out, map.len(), map.iter().map(|(f, v)| (&f[..], &v[..]))),
            Content::Set(map) => write_set(&mut out, map.len(), map.keys().map(|member| &member[..])),
            Content::Zset(map) => {
                let mut entries: Vec<(u64, &[u8])> = map.iter().map(|(member, score)| (*score, &member[..])).collect();
                entries.sort();
                write_zset(&mut out, entries.len(), entries);
            }
            Content::List(map) => {
                let head = map.first_key_value().map_or(LABEL_MIDDLE, |(label, _)| *label);
                write_list(&mut out, head, map.len(), map.values().map(|element| &element[..]));
            }
            Content::String(bytes) => out.extend_from_slice(bytes),
        }
        out
    }
}

/// A change that has its own bytes.
#[derive(Clone, Debug)]
enum Step {
    Field(Vec<u8>, Option<Vec<u8>>),
    Member(Vec<u8>, bool),
    Score(Vec<u8>, Option<u64>),
    Head(u64),
    End(u64),
    Element(u64, Vec<u8>),
    Bytes(usize, Vec<u8>),
}

impl Step {
    fn as_change(&self) -> Change<'_> {
        match self {
            Step::Field(field, value) => Change::Field(field, value.as_deref()),
            Step::Member(member, is) => Change::Member(member, *is),
            Step::Score(member, score) => Change::Score(member, *score),
            Step::Head(label) => Change::Head(*label),
            Step::End(label) => Change::End(*label),
            Step::Element(label, element) => Change::Element(*label, element),
            Step::Bytes(offset, bytes) => Change::Bytes(*offset, bytes),
        }
    }
}

/// The patch of these acts; the content is afterwards what it makes of it.
pub(crate) fn patch_of(content: &mut Content, acts: &[Act]) -> Vec<u8> {
    let mut steps = Vec::new();
    for act in acts {
        for step in content.steps(act) {
            content.step(&step.as_change());
            steps.push(step);
        }
    }
    let changes: Vec<Change<'_>> = steps.iter().map(Step::as_change).collect();
    patch_of_changes(content.kind(), &changes)
}

pub(crate) fn patch_of_changes(kind: Kind, changes: &[Change<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut hash, mut set) = (HashPatch::default(), SetPatch::default());
    let (mut zset, mut list) = (ZsetPatch::default(), ListPatch::default());
    let mut string = StringPatch::default();
    for change in changes {
        match *change {
            Change::Field(field, Some(value)) => hash.set(field, value),
            Change::Field(field, None) => hash.delete(field),
            Change::Member(member, true) => set.add(member),
            Change::Member(member, false) => set.delete(member),
            Change::Score(member, Some(score)) => zset.set(member, score),
            Change::Score(member, None) => zset.delete(member),
            Change::Head(label) => list.head(label),
            Change::End(label) => list.end(label),
            Change::Element(label, element) => list.set(label, element),
            Change::Bytes(offset, bytes) => string.set(offset, bytes),
            Change::Expiry(_) => panic!("an expiry is no content"),
        }
    }
    let is_empty = match kind {
        Kind::Hash => {
            hash.write(&mut out);
            hash.is_empty()
        }
        Kind::Set => {
            set.write(&mut out);
            set.is_empty()
        }
        Kind::Zset => {
            zset.write(&mut out);
            zset.is_empty()
        }
        Kind::String => {
            string.write(&mut out);
            string.is_empty()
        }
        _ => {
            list.write(&mut out);
            list.is_empty()
        }
    };
    assert_eq!(
        is_empty,
        out.len() == 1,
        "only a patch without changes has no more than its front"
    );
    out
}
