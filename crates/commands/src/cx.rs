mod patching;

use haypile_resp::Reply;
use haypile_store::keys::{expiry_key, meta_key};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, Counts, Direction, Scan, SpaceId, StoreError, Value, View};
use haypile_types::Random;

use crate::error::WRONG_TYPE;
use crate::{Collection, CommandError, KeyEvent, Observer};

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
    /// False where nothing may be written, on a replica say: a command that keeps what it computed keeps nothing then.
    pub may_write: bool,
    observer: &'a mut dyn Observer,
    db: u16,
    space: SpaceId,
}

/// A live key as it was found.
#[derive(Debug)]
pub struct Row<'v> {
    /// Its type and expiry.
    pub header: Header,
    value: Value<'v>,
    body: usize,
}

impl Row<'_> {
    /// What follows the header: of a string, its bytes.
    pub fn body(&self) -> &[u8] {
        &self.value[self.body..]
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
            observer,
            db,
            space,
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
            match self.raw_row(&meta_key(&key)) {
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
        self.view.counts(self.space)
    }

    /// The row of a live key. In a command that may write, a key whose time is over is removed on the way.
    pub fn row(&mut self, key: &[u8]) -> Result<Option<Row<'a>>, CommandError> {
        let Some(row) = self.raw_row(&meta_key(key))? else {
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
        let Some(value) = self.view.get(self.space, Cf::Meta, meta_key)? else {
            return Ok(None);
        };
        let (header, body) = Header::read(&value)
            .ok_or_else(|| StoreError::Corrupt("a row in the column family meta cannot be read".into()))?;
        Ok(Some(Row { header, value, body }))
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
            Some(row) => Ok(Some(Collection::read(key, row.header, row.body())?)),
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
            None => self.new_collection(key, kind, None),
        }
    }

    /// A new, empty collection in place of what `old` says is there.
    pub fn new_collection(&mut self, key: &[u8], kind: Kind, old: Option<Header>) -> Result<Collection, CommandError> {
        let version = self.view.new_version()?;
        Ok(Collection::new(key, kind, version, old))
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
            },
            value,
        )
    }

    /// Stores a collection's row, or removes the key if the collection is empty now.
    pub fn put_collection(&mut self, key: &[u8], collection: &mut Collection) -> Result<(), CommandError> {
        if collection.size == 0 {
            if let Some(old) = collection.old.take() {
                self.delete(key, old)?;
            }
            return Ok(());
        }
        let mut body = Vec::with_capacity(32);
        collection.write(&mut body);
        let header = Header {
            kind: collection.kind,
            expire_at: collection.expire_at,
            packed: false,
        };
        self.put_row(key, collection.old, header, &body)?;
        if collection.old.is_none_or(|old| old.kind != header.kind) || collection.has_grown() {
            self.ready(header.kind, key);
        }
        collection.stored(header);
        Ok(())
    }

    /// Stores a row: its header and body. For what is not a collection's own work, such as RENAME and COPY.
    pub fn put_row(&mut self, key: &[u8], old: Option<Header>, new: Header, body: &[u8]) -> Result<(), CommandError> {
        let meta = meta_key(key);
        let mut row = Vec::with_capacity(9 + body.len());
        new.write(&mut row);
        row.extend_from_slice(body);
        self.view.put(self.space, Cf::Meta, &meta, &row)?;
        self.row_written(key, &meta, old, new.expire_at)
    }

    /// Keeps the expiry index and the counters right when a row has been written in place of `old`.
    fn row_written(
        &mut self,
        key: &[u8],
        meta: &[u8],
        old: Option<Header>,
        expire_at: Option<u64>,
    ) -> Result<(), CommandError> {
        let old_expiry = old.and_then(|old| old.expire_at);
        if old_expiry != expire_at {
            if let Some(at) = old_expiry {
                self.view.delete(self.space, Cf::Expiry, &expiry_key(at, meta))?;
            }
            if let Some(at) = expire_at {
                self.view.put(self.space, Cf::Expiry, &expiry_key(at, meta), &[])?;
            }
        }
        let keys = i64::from(old.is_none());
        let expires = i64::from(expire_at.is_some()) - i64::from(old_expiry.is_some());
        if keys != 0 || expires != 0 {
            self.view.count(self.space, keys, expires)?;
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
        let meta = meta_key(key);
        self.view.delete(self.space, Cf::Meta, &meta)?;
        if let Some(at) = old.expire_at {
            self.view.delete(self.space, Cf::Expiry, &expiry_key(at, &meta))?;
        }
        self.view.count(self.space, -1, -i64::from(old.expire_at.is_some()))?;
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

    /// The value of an element; its key is made by [`Collection::element`].
    pub fn element(&self, key: &[u8]) -> Result<Option<Value<'a>>, CommandError> {
        Ok(self.view.get(self.space, Cf::Data, key)?)
    }

    /// Stores an element.
    pub fn put_element(&mut self, key: &[u8], value: &[u8]) -> Result<(), CommandError> {
        Ok(self.view.put(self.space, Cf::Data, key, value)?)
    }

    /// Removes an element.
    pub fn delete_element(&mut self, key: &[u8]) -> Result<(), CommandError> {
        Ok(self.view.delete(self.space, Cf::Data, key)?)
    }

    /// Elements from `lower` up to but not including `upper`, both whole data keys. While the scan lives nothing can be
    /// written, but `cx.reply` stays free: borrow `cx.view` and use [`scan_elements`] for that.
    pub fn scan(&mut self, lower: &[u8], upper: Option<&[u8]>, direction: Direction) -> Result<Scan<'_>, CommandError> {
        Ok(self.view.scan(self.space, Cf::Data, lower, upper, direction)?)
    }

    /// The data key of an element of a collection that happens to be in memory, chosen at random; `prefix` is the
    /// collection's. `None` if none is.
    pub fn known_element(&mut self, prefix: &[u8]) -> Option<Vec<u8>> {
        let random = self.random.next_u64();
        self.view.known_element(self.space, prefix, random)
    }

    /// The same with the reply beside it, for commands that write out what they scan.
    pub fn scan_and_reply(
        &mut self,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<(Scan<'_>, &mut Reply), CommandError> {
        Ok((
            self.view.scan(self.space, Cf::Data, lower, upper, direction)?,
            self.reply,
        ))
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
