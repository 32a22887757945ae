//! What a command may see and do: keys, rows, collections, expiry and events, for reading or within a turn.

mod elements;
mod patching;

use haypile_resp::Reply;
use haypile_store::keys::{Home, IdState, MetaKey, expiry_key};
use haypile_store::packed;
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, Counted, Counts, Direction, Scan, SpaceId, StoreError, Value, View};
use haypile_types::Random;

use crate::error::WRONG_TYPE;
use crate::{Collection, CommandError, KeyEvent, Observer, PackedLimits};

/// All that a command may see and do.
///
/// Reading: [`Cx::row`], [`Cx::string`], [`Cx::collection`] find live keys. Writing: [`Cx::put_string`],
/// [`Cx::put_collection`], [`Cx::set_expiry`], [`Cx::delete`] keep the row, the expiry index and the counters together.
/// After each change to a key the command calls [`Cx::modified`].
pub struct Cx<'a> {
    /// The store, and where effects go.
    pub view: View<'a>,
    /// The reply, in the connection's protocol version.
    pub reply: &'a mut Reply,
    /// Milliseconds since the epoch: one instant for the whole command or transaction.
    pub now: u64,
    /// For SPOP, RANDOMKEY and the like.
    pub random: &'a mut dyn Random,
    /// False inside a transaction: a blocking command then replies at once.
    pub may_block: bool,
    /// For a blocking command that has waited: the key that has become ready, from which alone it is served.
    pub ready_key: Option<&'a [u8]>,
    /// True for a command that only reads: its look-ups count as hits and misses.
    pub reads_only: bool,
    /// Longest string that may be made, bytes: `proto-max-bulk-len`.
    pub string_bytes_max: usize,
    /// Longest HyperLogLog that is kept in the sparse encoding, bytes: `hll-sparse-max-bytes`.
    pub hll_sparse_bytes_max: usize,
    /// Up to where collections are packed.
    pub packed_limits: PackedLimits,
    /// False where nothing may be written, on a replica say: a command that keeps what it computed keeps nothing then.
    pub may_write: bool,
    observer: &'a mut dyn Observer,
    db: u16,
    space: SpaceId,
    /// Of the key that was asked for last: most commands have one.
    meta: MetaKey,
}

/// A live key as it was found.
#[derive(Debug)]
pub struct Row<'v> {
    /// Its type and expiry.
    pub header: Header,
    /// The slot of its key.
    pub slot: u16,
    value: Value<'v>,
    body: usize,
}

/// A live collection as it was found.
pub enum Found<'v> {
    /// Its elements are the row's body.
    Packed(Row<'v>),
    /// They have rows of their own.
    Spread(Collection),
}

impl Found<'_> {
    /// Number of elements.
    pub fn size(&self) -> Result<u64, CommandError> {
        match self {
            Found::Packed(row) => Ok(packed::count(row.body())?),
            Found::Spread(collection) => Ok(collection.size),
        }
    }
}

impl<'v> Row<'v> {
    fn read(meta_key: &[u8], value: Value<'v>) -> Result<Self, CommandError> {
        let (header, body) = Header::read(&value)
            .ok_or_else(|| StoreError::Corrupt("a row in the column family meta cannot be read".into()))?;
        let slot = meta_key.first_chunk().map_or(0, |slot| u16::from_be_bytes(*slot));
        Ok(Row {
            header,
            slot,
            value,
            body,
        })
    }

    /// Its value, and where the body begins.
    pub(crate) fn into_value(self) -> (Value<'v>, usize) {
        (self.value, self.body)
    }

    /// What follows the header: of a string, its bytes.
    pub fn body(&self) -> &[u8] {
        &self.value[self.body..]
    }
}

/// What the counters of keys change by when a row is written in place of `old`.
fn counted(old: Option<Header>, expire_at: Option<u64>) -> Counted {
    let expired = old.is_some_and(|old| old.expire_at.is_some());
    Counted {
        keys: i8::from(old.is_none()),
        expires: i8::from(expire_at.is_some()) - i8::from(expired),
    }
}

impl<'a> Cx<'a> {
    /// A context for one command on database `db`.
    pub fn new(
        view: View<'a>,
        reply: &'a mut Reply,
        observer: &'a mut dyn Observer,
        random: &'a mut dyn Random,
        db: u16,
        now: u64,
    ) -> Self {
        let space = view.space(db);
        Cx {
            reads_only: !view.is_writing(),
            may_write: view.is_writing(),
            view,
            reply,
            now,
            random,
            may_block: true,
            ready_key: None,
            string_bytes_max: 512 << 20,
            hll_sparse_bytes_max: crate::hll::SPARSE_BYTES_MAX,
            packed_limits: PackedLimits::default(),
            observer,
            db,
            space,
            meta: MetaKey::default(),
        }
    }

    /// Has `self.meta` be this key's.
    fn find_meta(&mut self, key: &[u8]) {
        if !self.meta.is_of(self.space, key) {
            self.meta = MetaKey::new(self.space, key);
        }
    }

    /// The selected database.
    pub fn db(&self) -> u16 {
        self.db
    }

    /// Changes to another database for what follows (COPY and MOVE). The caller has checked that it exists.
    pub fn select(&mut self, db: u16) {
        self.db = db;
        self.space = self.view.space(db);
    }

    /// Empties a database, O(1). Transactions that watch one of its keys fail.
    pub fn flush_db(&mut self, db: u16) -> Result<(), CommandError> {
        self.view.flush(db)?;
        self.observer.emptied(db);
        self.space = self.view.space(self.db);
        Ok(())
    }

    /// Exchanges two databases. Transactions fail that watch a key which was there, or which is there now.
    pub fn swap_dbs(&mut self, a: u16, b: u16) -> Result<(), CommandError> {
        let coming = [(a, self.watched_in(a, b)?), (b, self.watched_in(b, a)?)];
        self.view.swap(a, b)?;
        self.space = self.view.space(self.db);
        for (db, keys) in coming {
            self.observer.emptied(db);
            keys.iter().for_each(|key| self.observer.modified(db, key));
            self.observer.replaced(db);
        }
        Ok(())
    }

    /// The keys that are watched in `db` and live in the database `other`.
    fn watched_in(&mut self, db: u16, other: u16) -> Result<Vec<Vec<u8>>, CommandError> {
        let mut keys = self.observer.watched(db);
        if keys.is_empty() {
            return Ok(keys);
        }
        let selected = self.db;
        self.select(other);
        let mut living = Vec::new();
        for key in keys.drain(..) {
            match self.raw_row(&haypile_store::keys::meta_key(&key)) {
                Ok(Some(row)) if row.header.expire_at.is_none_or(|at| at > self.now) => living.push(key),
                Ok(_) => {}
                Err(error) => {
                    self.select(selected);
                    return Err(error);
                }
            }
        }
        self.select(selected);
        Ok(living)
    }

    /// Number of keys and of keys with an expiry in the selected database.
    pub fn counts(&self) -> Counts {
        self.view.counts(self.db)
    }

    /// The row of a live key. In a command that may write, a key whose time is over is removed on the way.
    pub fn row(&mut self, key: &[u8]) -> Result<Option<Row<'a>>, CommandError> {
        self.find_meta(key);
        let found = self.view.row(&self.meta)?;
        let Some(row) = found.map(|value| Row::read(self.meta.bytes(), value)).transpose()? else {
            self.looked_up(key, false);
            return Ok(None);
        };
        if row.header.expire_at.is_some_and(|at| at <= self.now) {
            if !self.reads_only {
                self.expire(key, row.header)?;
            }
            self.looked_up(key, false);
            return Ok(None);
        }
        self.looked_up(key, true);
        Ok(Some(row))
    }

    /// The row under a meta key, alive or not, without side effects.
    pub fn raw_row(&self, meta_key: &[u8]) -> Result<Option<Row<'a>>, CommandError> {
        let found = self.view.get(self.space, Cf::Meta, meta_key)?;
        found.map(|value| Row::read(meta_key, value)).transpose()
    }

    /// The row of a live string; an error if the key is of another type.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Row<'a>>, CommandError> {
        match self.row(key)? {
            Some(row) if row.header.kind != Kind::String => Err(WRONG_TYPE),
            row => Ok(row),
        }
    }

    /// A live collection; an error if the key is of another type.
    pub fn collection(&mut self, key: &[u8], kind: Kind) -> Result<Option<Collection>, CommandError> {
        match self.row(key)? {
            Some(row) if row.header.kind != kind => Err(WRONG_TYPE),
            Some(row) => Ok(Some(Collection::read(row)?)),
            None => Ok(None),
        }
    }

    /// A live collection as it is, without a copy of a packed one; an error if the key is of another type.
    pub fn find(&mut self, key: &[u8], kind: Kind) -> Result<Option<Found<'a>>, CommandError> {
        match self.row(key)? {
            Some(row) if row.header.kind != kind => Err(WRONG_TYPE),
            Some(row) if row.header.packed => Ok(Some(Found::Packed(row))),
            Some(row) => Ok(Some(Found::Spread(Collection::read(row)?))),
            None => Ok(None),
        }
    }

    /// A collection that a blocking command would take from. Who has waited is served from the key that has become ready,
    /// whatever else there is, as in Redis; and goes on waiting if that has become something else: only its first look is
    /// an error.
    pub fn source(&mut self, key: &[u8], kind: Kind) -> Result<Option<Collection>, CommandError> {
        match self.ready_key {
            None => self.collection(key, kind),
            Some(ready) if ready != key => Ok(None),
            Some(_) => match self.collection(key, kind) {
                Err(CommandError::Reply(_)) => Ok(None),
                found => found,
            },
        }
    }

    /// The same as [`Cx::collection`], or a new, empty one. It is stored by [`Cx::put_collection`].
    pub fn collection_or_new(&mut self, key: &[u8], kind: Kind) -> Result<Collection, CommandError> {
        match self.collection(key, kind)? {
            Some(found) => Ok(found),
            None => Ok(self.new_collection(key, kind, None)),
        }
    }

    /// A new, empty collection in place of what `old` says is there.
    pub fn new_collection(&mut self, key: &[u8], kind: Kind, old: Option<Header>) -> Collection {
        Collection::new(key, kind, old)
    }

    /// Stores a string in place of `old`, the header of the row that [`Cx::row`] found.
    pub fn put_string(
        &mut self,
        key: &[u8],
        old: Option<Header>,
        value: &[u8],
        expire_at: Option<u64>,
    ) -> Result<(), CommandError> {
        self.put_row(
            key,
            old,
            Header {
                kind: Kind::String,
                expire_at,
                packed: false,
                home: None,
            },
            value,
        )
    }

    /// Stores a row: its header and body. For what is not a collection's own work, such as COPY. What elements the row had
    /// before are gone, unless they are those of the new one.
    pub fn put_row(&mut self, key: &[u8], old: Option<Header>, new: Header, body: &[u8]) -> Result<(), CommandError> {
        let home = old.and_then(|old| old.home);
        if home != new.home {
            self.let_go(home)?;
            if let Some(home) = new.home {
                let state = IdState::Live.encode();
                self.view.put(self.space, Cf::Data, &home.record(), &state)?;
            }
        }
        self.write_row(key, old, new, body)
    }

    /// The elements of a collection that is gone may be collected.
    fn let_go(&mut self, home: Option<Home>) -> Result<(), CommandError> {
        match home {
            Some(home) => Ok(self.view.delete(self.space, Cf::Data, &home.record())?),
            None => Ok(()),
        }
    }

    /// Gives the row of a live key to another key, in place of what that has, O(1): elements stay where they are.
    pub fn move_row(&mut self, from: &[u8], to: &[u8], row: &Row<'_>, old: Option<Header>) -> Result<(), CommandError> {
        self.let_go(old.and_then(|old| old.home))?;
        self.write_row(to, old, row.header, row.body())?;
        self.remove_row(from, row.header)
    }

    /// The row, and what goes with it, but not with elements.
    fn write_row(&mut self, key: &[u8], old: Option<Header>, new: Header, body: &[u8]) -> Result<(), CommandError> {
        self.find_meta(key);
        let counted = counted(old, new.expire_at);
        self.view.put_row(&self.meta, &new.bytes(), body, counted)?;
        self.row_written(key, old, new.expire_at)
    }

    /// Keeps the expiry index right when the row of `self.meta` has been written in place of `old`.
    fn row_written(&mut self, key: &[u8], old: Option<Header>, expire_at: Option<u64>) -> Result<(), CommandError> {
        let old_expiry = old.and_then(|old| old.expire_at);
        if old_expiry != expire_at {
            let meta = self.meta.bytes();
            if let Some(at) = old_expiry {
                self.view.delete(self.space, Cf::Expiry, &expiry_key(at, meta))?;
            }
            if let Some(at) = expire_at {
                self.view.put(self.space, Cf::Expiry, &expiry_key(at, meta), &[])?;
            }
        }
        if old.is_none() {
            self.event(KeyEvent::New, key);
        }
        Ok(())
    }

    /// Tells those blocked on a key that it may serve them now.
    pub fn ready(&mut self, kind: Kind, key: &[u8]) {
        if matches!(kind, Kind::List | Kind::Zset | Kind::Stream) {
            self.observer.ready(self.db, key);
        }
    }

    /// Removes a key, O(1): the elements of a collection are collected later.
    pub fn delete(&mut self, key: &[u8], old: Header) -> Result<(), CommandError> {
        self.let_go(old.home)?;
        self.remove_row(key, old)
    }

    /// Removes the row, and what goes with it, but not with elements.
    fn remove_row(&mut self, key: &[u8], old: Header) -> Result<(), CommandError> {
        let counted = Counted {
            keys: -1,
            expires: -i8::from(old.expire_at.is_some()),
        };
        self.find_meta(key);
        self.view.delete_row(&self.meta, counted)?;
        if let Some(at) = old.expire_at {
            let entry = expiry_key(at, self.meta.bytes());
            self.view.delete(self.space, Cf::Expiry, &entry)?;
        }
        Ok(())
    }

    /// Removes a key whose time is over, and says so.
    pub fn expire(&mut self, key: &[u8], old: Header) -> Result<(), CommandError> {
        self.delete(key, old)?;
        self.observer.expired(self.db, key);
        self.event(KeyEvent::Expired, key);
        Ok(())
    }

    /// Tells of a change: fails transactions that watch the key, and sends the keyspace event.
    pub fn modified(&mut self, event: KeyEvent, key: &[u8]) {
        self.observer.modified(self.db, key);
        self.event(event, key);
    }

    /// Marks a key as changed without a keyspace event.
    pub fn touch(&mut self, key: &[u8]) {
        self.observer.modified(self.db, key);
    }

    /// Sends a keyspace event without marking the key as changed.
    pub fn event(&mut self, event: KeyEvent, key: &[u8]) {
        self.view.event(event as u8, self.db, key);
        self.observer.event(event, self.db, key);
    }

    fn looked_up(&mut self, key: &[u8], hit: bool) {
        if self.reads_only {
            self.observer.looked_up(hit);
            if !hit {
                self.observer.event(KeyEvent::KeyMiss, self.db, key);
            }
        }
    }

    /// Rows in the order of their meta keys.
    pub fn scan_rows(&mut self, lower: &[u8], upper: Option<&[u8]>) -> Result<Scan<'_>, CommandError> {
        Ok(self.view.scan(self.space, Cf::Meta, lower, upper, Direction::Forward)?)
    }

    /// Keys by the time at which they expire, up to `until` (milliseconds, exclusive).
    pub fn scan_expiry(&mut self, until: u64) -> Result<Scan<'_>, CommandError> {
        Ok(self.view.scan(
            self.space,
            Cf::Expiry,
            &[],
            Some(&until.to_be_bytes()),
            Direction::Forward,
        )?)
    }
}
