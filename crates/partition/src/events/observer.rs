//! What commands tell of keys: events for subscribers, and counters.

use std::sync::atomic::{AtomicU32, Ordering};

use haypile_commands::{Class, KeyEvent, Observer};
use haypile_sync::message::Message;
use haypile_types::Counter;

use crate::waiting::{BlockedTable, WatchTable};

/// What subscribers are to hear of, once what came before it is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A keyspace event.
    Key {
        /// What has happened
        event: KeyEvent,
        /// in this database
        db: u16,
        /// to this key.
        key: Vec<u8>,
    },
    /// A message of PUBLISH or SPUBLISH.
    Message(Message),
}

/// Counters that all threads add to.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) expired: Counter,
    /// Classes of events that anybody wants; see [`Class`].
    pub(crate) notify: AtomicU32,
}

impl Counters {
    fn looked_up(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.add(1);
    }

    pub(crate) fn wants_any(&self) -> bool {
        self.notify.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn wants(&self, class: Class) -> bool {
        self.notify.load(Ordering::Relaxed) & class as u32 != 0
    }
}

/// Listens to a command that reads outside of the turn.
pub(crate) struct ReadObserver<'a> {
    pub(crate) counters: &'a Counters,
    pub(crate) events: Vec<Event>,
    /// Counted when the command is over: an attempt that is repeated does not count.
    hits: u64,
    misses: u64,
}

impl<'a> ReadObserver<'a> {
    pub(crate) fn new(counters: &'a Counters) -> Self {
        ReadObserver {
            counters,
            events: Vec::new(),
            hits: 0,
            misses: 0,
        }
    }

    /// Forgets what the last attempt did.
    pub(crate) fn begin_again(&mut self) {
        self.events.clear();
        (self.hits, self.misses) = (0, 0);
    }

    pub(crate) fn count(&self) {
        for (counter, n) in [(&self.counters.hits, self.hits), (&self.counters.misses, self.misses)] {
            if n > 0 {
                counter.add(n);
            }
        }
    }
}

impl Observer for ReadObserver<'_> {
    fn modified(&mut self, _: u16, _: &[u8]) {}

    fn event(&mut self, event: KeyEvent, db: u16, key: &[u8]) {
        if self.counters.wants(event.class()) {
            let key = key.to_vec();
            self.events.push(Event::Key { event, db, key });
        }
    }

    fn ready(&mut self, _: u16, _: &[u8]) {}

    fn looked_up(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.misses += u64::from(!hit);
    }

    fn expired(&mut self, _: u16, _: &[u8]) {}

    fn watched(&self, _: u16) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn emptied(&mut self, _: u16) {}

    fn replaced(&mut self, _: u16) {}
}

/// Listens to a command in the turn. What it collects of a command that fails is cut off again.
pub(crate) struct TurnObserver<'a> {
    pub(crate) counters: &'a Counters,
    pub(crate) watch: &'a WatchTable,
    pub(crate) blocked: &'a BlockedTable,
    pub(crate) heard: &'a mut Heard,
}

/// What was heard in a turn.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) events: Vec<Event>,
    /// Keys for which somebody waits and that may serve them now.
    pub(crate) ready: Vec<(u16, Vec<u8>)>,
}

impl Observer for TurnObserver<'_> {
    fn modified(&mut self, db: u16, key: &[u8]) {
        self.watch.touch(db, key);
    }

    fn event(&mut self, event: KeyEvent, db: u16, key: &[u8]) {
        if self.counters.wants(event.class()) {
            let key = key.to_vec();
            self.heard.events.push(Event::Key { event, db, key });
        }
    }

    fn ready(&mut self, db: u16, key: &[u8]) {
        let known = self.heard.ready.last().is_some_and(|(d, k)| *d == db && k == key);
        if !known && self.blocked.waits_for(db, key) {
            self.heard.ready.push((db, key.to_vec()));
        }
    }

    fn looked_up(&mut self, hit: bool) {
        self.counters.looked_up(hit);
    }

    fn expired(&mut self, db: u16, key: &[u8]) {
        self.counters.expired.add(1);
        self.watch.remove_absent(db, key);
    }

    fn watched(&self, db: u16) -> Vec<Vec<u8>> {
        if self.watch.is_empty() {
            Vec::new()
        } else {
            self.watch.keys_of(db)
        }
    }

    fn emptied(&mut self, db: u16) {
        self.watch.empty(db);
    }

    fn replaced(&mut self, db: u16) {
        self.heard
            .ready
            .extend(self.blocked.keys_of(db).into_iter().map(|key| (db, key)));
    }
}
