use haypile_store::StoreError;
use haypile_store::keys::{Home, prefix_end};
use haypile_store::row::{Header, Kind, Spread};

use crate::CommandError;

/// A key with elements: a list, set, sorted set or hash. Its elements stand in the column family `data` under
/// [`Collection::prefix`].
#[derive(Clone, Debug)]
pub struct Collection {
    /// The type.
    pub kind: Kind,
    /// Number of elements.
    pub size: u64,
    /// Lists: index of the first element, in the middle of the numbers for a new list.
    pub head: u64,
    /// When the key expires.
    pub expire_at: Option<u64>,
    /// The header of the row that it replaces when it is stored.
    pub old: Option<Header>,
    home: Home,
    prefix: Vec<u8>,
    stored_size: u64,
}

/// Index of a new list's first element: room for 2^63 pushes on either side.
pub const LIST_MIDDLE: u64 = haypile_store::packed::LABEL_MIDDLE;

impl Collection {
    pub(crate) fn new(kind: Kind, home: Home, old: Option<Header>) -> Self {
        Collection {
            kind,
            size: 0,
            head: LIST_MIDDLE,
            expire_at: None,
            old,
            home,
            prefix: home.prefix_of(kind),
            stored_size: 0,
        }
    }

    pub(crate) fn read(_key: &[u8], header: Header, body: &[u8]) -> Result<Self, CommandError> {
        let cut_short = || StoreError::Corrupt("a collection's row is cut short".into());
        let Spread { size, head } = Spread::read(header.kind, body).ok_or_else(cut_short)?;
        let home = header.home.ok_or_else(cut_short)?;
        Ok(Collection {
            kind: header.kind,
            size,
            head,
            expire_at: header.expire_at,
            old: Some(header),
            home,
            prefix: home.prefix_of(header.kind),
            stored_size: size,
        })
    }

    pub(crate) fn home(&self) -> Home {
        self.home
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            kind: self.kind,
            expire_at: self.expire_at,
            packed: false,
            home: Some(self.home),
        }
    }

    pub(crate) fn write(&self, body: &mut Vec<u8>) {
        let (size, head) = (self.size, self.head);
        Spread { size, head }.write(self.kind, body);
    }

    pub(crate) fn has_grown(&self) -> bool {
        self.size > self.stored_size
    }

    pub(crate) fn stored(&mut self, header: Header) {
        self.old = Some(header);
        self.stored_size = self.size;
    }

    /// What the data keys of all elements start with.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The data key of an element that is written in these parts.
    pub fn element(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + parts.iter().map(|p| p.len()).sum::<usize>());
        key.extend_from_slice(&self.prefix);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The element's part of a data key of this collection.
    pub fn strip<'k>(&self, data_key: &'k [u8]) -> &'k [u8] {
        data_key.get(self.prefix.len()..).unwrap_or_default()
    }

    /// The end of the range of keys that start with the prefix and `part`.
    pub fn end_of(&self, part: &[u8]) -> Option<Vec<u8>> {
        prefix_end(&self.element(&[part]))
    }
}
