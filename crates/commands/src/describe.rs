//! What entries of the log do, in words of keys, fields and members: for people who look at a log, or at a piece of one.
//!
//! Effects name no types: an element is bytes under a collection's id. What the collection is, and what its key is, is in its
//! row, which an entry writes when the collection is new or its size changes; else it is remembered from an earlier entry, or
//! it follows from the command that the entry's tag names.

use std::collections::HashMap;

use haypile_store::effects::{Effect, Effects};
use haypile_store::keys::{DataKey, Home, user_key};
use haypile_store::packed::{self, PackedError, PackedHash, PackedList, PackedSet, PackedZset, Patch};
use haypile_store::row::{Header, Kind, Spread};
use haypile_store::{Cf, SpaceId, StoreError};

use crate::spec::Group;
use crate::{list, set, table, zset};

/// What one command did.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Its name; `None` for effects that no command is named for.
    pub command: Option<String>,
    /// The database that it was given in.
    pub db: u16,
    /// Its first key; empty if it has none.
    pub key: Vec<u8>,
    /// What has changed.
    pub changes: Vec<Change>,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// Which key; empty if it is about a database, or if that is not known.
    pub key: Vec<u8>,
    /// What it is now.
    pub what: What,
}

/// Where a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a database.
    Database(u16),
    /// In a keyspace that was some database: which one is not known.
    Keyspace(SpaceId),
}

/// What has become of a key or an element of it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The key is gone, with all that belonged to it.
    Gone,
    /// The key is this string.
    String {
        /// Its bytes.
        value: Vec<u8>,
        /// When it expires, milliseconds since the epoch.
        expire_at: Option<u64>,
    },
    /// The key is a collection; its elements are told apart.
    Collection {
        /// Its type.
        kind: Kind,
        /// Number of elements.
        size: u64,
        /// When it expires, milliseconds since the epoch.
        expire_at: Option<u64>,
    },
    /// A hash's field has this value, or is gone.
    Field(Vec<u8>, Option<Vec<u8>>),
    /// A set has this member, or has not.
    Member(Vec<u8>, bool),
    /// A sorted set's member has this score, or is gone.
    Score(Vec<u8>, Option<f64>),
    /// A list's element, at this place from its head if that is known, is this, or is gone.
    Element(Option<u64>, Option<Vec<u8>>),
    /// A list's elements with labels smaller than this are gone.
    Begins(u64),
    /// A list's elements with this label and greater ones are gone.
    Ends(u64),
    /// A string has these bytes from an offset on.
    Bytes(usize, Vec<u8>),
    /// The key expires then, milliseconds since the epoch, or stays.
    Expires(Option<u64>),
    /// The database is this keyspace from now on: an empty one after FLUSHDB, another's after SWAPDB.
    Mapped(SpaceId),
    /// Bytes of a collection whose type is not known.
    Unknown(Vec<u8>, Option<Vec<u8>>),
}

/// Describes entries in their order.
#[derive(Debug, Default)]
pub struct Describer {
    collections: HashMap<Home, Known>,
    databases: HashMap<SpaceId, u16>,
}

/// What is known of a collection whose elements have rows of their own.
#[derive(Debug)]
struct Known {
    key: Vec<u8>,
    kind: Kind,
    /// Of a list.
    head: u64,
}

/// Commands whose effects may be in another database than the one they are given in.
const ELSEWHERE: &[&str] = &["copy", "move", "swapdb", "flushall"];

impl Describer {
    /// What the entry with this payload did. With an error, what could be read before it.
    pub fn entry(&mut self, payload: &[u8]) -> (Vec<Done>, Option<StoreError>) {
        // Elements come before their row. Of several keys that a collection has had the first one counts, then the next.
        let effects: Vec<Effect<'_>> = Effects::new(payload).flatten().collect();
        effects.iter().rev().for_each(|effect| self.learn(effect));
        let mut all: Vec<Done> = Vec::new();
        for effect in Effects::new(payload) {
            let effect = match effect {
                Ok(effect) => effect,
                Err(error) => return (all, Some(error)),
            };
            self.learn(&effect);
            if let Effect::Tag { command, db, key, .. } = effect {
                all.push(Done {
                    command: Some(String::from_utf8_lossy(command).into_owned()),
                    db,
                    key: key.to_vec(),
                    changes: Vec::new(),
                });
                continue;
            }
            if all.is_empty() {
                all.push(Done {
                    command: None,
                    db: 0,
                    key: Vec::new(),
                    changes: Vec::new(),
                });
            }
            if let Some(done) = all.last_mut() {
                let changes = self.changes(done, &effect);
                done.changes.extend(changes);
            }
        }
        (all, None)
    }

    fn learn(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::Put {
                cf: Cf::Meta,
                key,
                value,
                ..
            } => {
                if let Some(row) = Row::read(value)
                    && let (Some(home), Some(spread)) = (row.header.home, row.spread())
                {
                    let known = Known {
                        key: user_key(key).to_vec(),
                        kind: row.header.kind,
                        head: spread.head,
                    };
                    self.collections.insert(home, known);
                }
            }
            Effect::Map { db, space } => {
                self.databases.insert(space, db);
            }
            _ => {}
        }
    }

    fn changes(&mut self, done: &Done, effect: &Effect<'_>) -> Vec<Change> {
        let (space, key) = match *effect {
            Effect::Put { space, key, .. } | Effect::Delete { space, key, .. } | Effect::Patch { space, key, .. } => {
                (space, key)
            }
            Effect::Map { db, space } => {
                return vec![Change {
                    place: Place::Database(db),
                    key: Vec::new(),
                    what: What::Mapped(space),
                }];
            }
            // They follow from the others, or are about no data.
            Effect::Tag { .. } | Effect::EventOfRow { .. } | Effect::Event { .. } | Effect::Members { .. } => {
                return Vec::new();
            }
        };
        let command = done.command.as_deref();
        if command.is_some_and(|command| !ELSEWHERE.contains(&command)) {
            self.databases.insert(space, done.db);
        }
        let place = match self.databases.get(&space) {
            Some(db) => Place::Database(*db),
            None => Place::Keyspace(space),
        };
        let (key, whats) = match *effect {
            Effect::Put { cf, value, .. } => self.of_row(done, cf, key, Some(value)),
            Effect::Delete { cf, .. } => self.of_row(done, cf, key, None),
            Effect::Patch { patch, .. } => (user_key(key), of_patch(patch)),
            _ => return Vec::new(),
        };
        let change = |what| Change {
            place,
            key: key.to_vec(),
            what,
        };
        whats.into_iter().map(change).collect()
    }

    /// What has become of a key of a column family: the user key, and what.
    fn of_row<'e>(&'e self, done: &'e Done, cf: Cf, key: &'e [u8], value: Option<&'e [u8]>) -> (&'e [u8], Vec<What>) {
        match cf {
            // It repeats what the row says.
            Cf::Expiry => (key, Vec::new()),
            Cf::Meta => (user_key(key), row(value)),
            Cf::Data => match DataKey::parse(key) {
                // That of the collection's row.
                Some(parsed) if parsed.is_record() => (&done.key, Vec::new()),
                Some(parsed) => {
                    let known = self.collections.get(&parsed.home);
                    let kind = known.map(|known| known.kind);
                    let kind = kind.or_else(|| kind_of(done.command.as_deref()));
                    let element = kind.map_or(Some(parsed.element), |kind| parsed.element_of(kind));
                    let what = self::element(kind, known.map(|known| known.head), element.unwrap_or_default(), value);
                    (known.map_or(&done.key, |known| &known.key), what.into_iter().collect())
                }
                None => (key, vec![What::Unknown(Vec::new(), value.map(<[u8]>::to_vec))]),
            },
        }
    }
}

/// A row taken apart.
struct Row<'r> {
    header: Header,
    body: &'r [u8],
}

impl<'r> Row<'r> {
    fn read(row: &'r [u8]) -> Option<Self> {
        let (header, length) = Header::read(row)?;
        let body = &row[length..];
        Some(Row { header, body })
    }

    /// Of a collection whose elements have rows of their own.
    fn spread(&self) -> Option<Spread> {
        self.header.home?;
        Spread::read(self.header.kind, self.body)
    }
}

fn row(value: Option<&[u8]>) -> Vec<What> {
    let Some(value) = value else { return vec![What::Gone] };
    let Some(row) = Row::read(value) else {
        return vec![What::Unknown(Vec::new(), Some(value.to_vec()))];
    };
    let expire_at = row.header.expire_at;
    let kind = row.header.kind;
    let collection = |size| What::Collection { kind, size, expire_at };
    if row.header.packed {
        let entries =
            of_packed(kind, row.body).unwrap_or_else(|_| vec![What::Unknown(Vec::new(), Some(value.to_vec()))]);
        let whole = collection(packed::count(row.body).unwrap_or(0));
        return std::iter::once(whole).chain(entries).collect();
    }
    vec![match kind {
        Kind::String => What::String {
            value: row.body.to_vec(),
            expire_at,
        },
        _ => collection(row.spread().map_or(0, |spread| spread.size)),
    }]
}

/// The entries of a packed collection.
fn of_packed(kind: Kind, body: &[u8]) -> Result<Vec<What>, PackedError> {
    match kind {
        Kind::Hash => PackedHash::read(body)?
            .iter()
            .map(|entry| entry.map(|(field, value)| What::Field(field.to_vec(), Some(value.to_vec()))))
            .collect(),
        Kind::Set => PackedSet::read(body)?
            .iter()
            .map(|entry| entry.map(|member| What::Member(member.to_vec(), true)))
            .collect(),
        Kind::Zset => PackedZset::read(body)?
            .iter()
            .map(|entry| entry.map(|(score, member)| What::Score(member.to_vec(), Some(zset::score_from(score)))))
            .collect(),
        Kind::List => (0..)
            .zip(PackedList::read(body)?.iter())
            .map(|(place, entry)| entry.map(|element| What::Element(Some(place), Some(element.to_vec()))))
            .collect(),
        Kind::String | Kind::Stream => Err(PackedError::NotPacked),
    }
}

/// What a patch says.
fn of_patch(bytes: &[u8]) -> Vec<What> {
    let what = |change| match change {
        packed::Change::Field(field, value) => What::Field(field.to_vec(), value.map(<[u8]>::to_vec)),
        packed::Change::Member(member, is) => What::Member(member.to_vec(), is),
        packed::Change::Score(member, score) => What::Score(member.to_vec(), score.map(zset::score_from)),
        packed::Change::Element(_, element) => What::Element(None, Some(element.to_vec())),
        packed::Change::Head(label) => What::Begins(label),
        packed::Change::End(label) => What::Ends(label),
        packed::Change::Bytes(offset, bytes) => What::Bytes(offset, bytes.to_vec()),
        packed::Change::Expiry(at) => What::Expires(at),
    };
    let read = Patch::read(bytes).and_then(|patch| patch.changes().map(|change| change.map(what)).collect());
    read.unwrap_or_else(|_| vec![What::Unknown(Vec::new(), Some(bytes.to_vec()))])
}

/// The type that a command is about.
fn kind_of(command: Option<&str>) -> Option<Kind> {
    match table::find(command?.as_bytes())?.spec.group {
        Group::List => Some(Kind::List),
        Group::Set => Some(Kind::Set),
        Group::SortedSet | Group::Geo => Some(Kind::Zset),
        Group::Hash => Some(Kind::Hash),
        _ => None,
    }
}

/// `None` if it says nothing that another element does not say.
fn element(kind: Option<Kind>, head: Option<u64>, element: &[u8], value: Option<&[u8]>) -> Option<What> {
    let unknown = || What::Unknown(element.to_vec(), value.map(<[u8]>::to_vec));
    Some(match kind {
        Some(Kind::Hash) => What::Field(element.to_vec(), value.map(<[u8]>::to_vec)),
        Some(Kind::Set) => match set::member_of(element) {
            Some(member) => What::Member(member.to_vec(), value.is_some()),
            None => unknown(),
        },
        Some(Kind::Zset) => match zset::entry_of(element, value) {
            zset::Entry::Member(member, score) => What::Score(member.to_vec(), score),
            zset::Entry::Index => return None,
            zset::Entry::Damaged => unknown(),
        },
        Some(Kind::List) => match list::index_in(element) {
            Some(index) => {
                let place = head.and_then(|head| index.checked_sub(head));
                What::Element(place, value.map(<[u8]>::to_vec))
            }
            None => unknown(),
        },
        Some(Kind::String | Kind::Stream) | None => unknown(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackedLimits;
    use crate::testing::Bench;

    /// What these commands do, each an entry.
    fn described(lines: &[&str]) -> Vec<Vec<What>> {
        let mut bench = Bench::new();
        bench.limits = PackedLimits::NONE;
        bench.apply = false;
        for line in lines {
            bench.run(line);
        }
        let mut describer = Describer::default();
        let mut all = Vec::new();
        for payload in bench.payloads() {
            let (done, error) = describer.entry(&payload);
            assert!(error.is_none(), "{error:?}");
            all.push(
                done.into_iter()
                    .flat_map(|done| done.changes)
                    .map(|change| change.what)
                    .collect(),
            );
        }
        all
    }

    fn collection(kind: Kind, size: u64) -> What {
        What::Collection {
            kind,
            size,
            expire_at: None,
        }
    }

    #[test]
    fn all_types_are_described() {
        let string = |value: &[u8], expire_at| What::String {
            value: value.to_vec(),
            expire_at,
        };
        for (lines, expected) in [
            (&["set k v"][..], vec![string(b"v", None)]),
            (&["set k v pxat 5000000"], vec![string(b"v", Some(5_000_000))]),
            (
                &["hset k f v"],
                vec![
                    What::Field(b"f".to_vec(), Some(b"v".to_vec())),
                    collection(Kind::Hash, 1),
                ],
            ),
            (
                &["hset k f v", "hset k f w"],
                vec![What::Field(b"f".to_vec(), Some(b"w".to_vec()))],
            ),
            (
                &["sadd k a b", "srem k a"],
                vec![What::Member(b"a".to_vec(), false), collection(Kind::Set, 1)],
            ),
            (
                &["zadd k 1 a", "zadd k -2.5 a"],
                vec![What::Score(b"a".to_vec(), Some(-2.5))],
            ),
            (
                &["rpush k a", "rpush k b"],
                vec![What::Element(Some(1), Some(b"b".to_vec())), collection(Kind::List, 2)],
            ),
            (&["set k v", "del k"], vec![What::Gone]),
            (
                &["setrange k 999 v", "setrange k 500 w"],
                vec![What::Bytes(500, b"w".to_vec())],
            ),
            (
                &["setrange k 999 v", "pexpireat k 5000000"],
                vec![What::Expires(Some(5_000_000))],
            ),
        ] {
            let mut last = described(lines).pop().unwrap();
            // In whatever order they are written.
            last.sort_by_key(|what| format!("{what:?}"));
            let mut expected = expected;
            expected.sort_by_key(|what| format!("{what:?}"));
            assert_eq!(last, expected, "{lines:?}");
        }
    }

    #[test]
    fn packed_rows_and_patches_are_described() {
        let body = [2, 0, 1, b'a', 1, b'b'];
        let row = [&[0x42], &body[..]].concat();
        let element = |place, element: &[u8]| What::Element(place, Some(element.to_vec()));
        let expected = [
            collection(Kind::List, 2),
            element(Some(0), b"a"),
            element(Some(1), b"b"),
        ];
        assert_eq!(super::row(Some(&row)), expected);

        let begins = What::Begins(1 << 63);
        assert_eq!(of_patch(&[0x12, 0, 4, 1, 1, b'c']), [begins, element(None, b"c")]);
        let set = What::Field(b"f".to_vec(), Some(b"v".to_vec()));
        let gone = What::Field(b"g".to_vec(), None);
        assert_eq!(of_patch(&[5, 1, 2, b'f', b'v', 1, 0, b'g']), [set, gone]);
        assert_eq!(
            of_patch(&[0x41, 3, 1, b'b']),
            [What::Expires(None), What::Bytes(3, vec![b'b'])]
        );
        assert_eq!(of_patch(&[0x80, 0, 0, 0, 0, 0, 0, 1, 0]), [What::Expires(Some(256))]);
        assert_eq!(of_patch(&[5, 1]), [What::Unknown(Vec::new(), Some(vec![5, 1]))]);
    }

    #[test]
    fn an_unknown_type_is_shown_as_bytes() {
        let mut bench = Bench::new();
        bench.limits = PackedLimits::NONE;
        bench.run("hset k f v");
        bench.apply = false;
        bench.run("hset k f w");
        let (done, _) = Describer::default().entry(&bench.payloads()[0]);
        assert_eq!(
            done[0].changes[0].what,
            What::Unknown(b"\xba\x9af".to_vec(), Some(b"w".to_vec()))
        );
        assert_eq!(
            (done[0].command.as_ref(), &done[0].changes[0].key[..]),
            (None, &b""[..])
        );
        assert_eq!(done[0].changes[0].place, Place::Keyspace(0));
    }

    #[test]
    fn what_comes_before_damage_is_described() {
        let mut bench = Bench::new();
        bench.apply = false;
        bench.run("set k v");
        let mut payload = bench.payloads().remove(0);
        payload.push(0xff);
        let (done, error) = Describer::default().entry(&payload);
        assert_eq!(done.len(), 1);
        assert!(error.is_some());
    }
}
