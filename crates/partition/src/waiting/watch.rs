//! WATCH: which clients watch which keys, and what has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when a key that a client watches has changed.
#[derive(Debug, Default)]
pub struct WatchFlag(AtomicBool);

impl WatchFlag {
    /// True if the transaction must fail.
    pub fn is_dirty(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Makes the transaction fail.
    pub fn mark(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Who watches which keys.
///
/// A key whose time was over when a client began to watch it, but that had not been removed yet, was not there for that
/// client: its removal, by whatever command, is no change. So it is with Redis' `wk->expired`.
#[derive(Default)]
pub(crate) struct WatchTable {
    by_key: HashMap<(u16, Vec<u8>), Vec<Watcher>>,
}

struct Watcher {
    flag: Arc<WatchFlag>,
    /// The key was not there, or its time was over.
    was_absent: bool,
}

impl WatchTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn add(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>, was_absent: bool) {
        let watchers = self.by_key.entry((db, key.to_vec())).or_default();
        if !watchers.iter().any(|watcher| Arc::ptr_eq(&watcher.flag, flag)) {
            let flag = flag.clone();
            watchers.push(Watcher { flag, was_absent });
        }
    }

    pub(crate) fn remove(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>) {
        let at = (db, key.to_vec());
        if let Some(watchers) = self.by_key.get_mut(&at) {
            watchers.retain(|watcher| !Arc::ptr_eq(&watcher.flag, flag));
            if watchers.is_empty() {
                self.by_key.remove(&at);
            }
        }
    }

    /// A key has changed.
    pub(crate) fn touch(&self, db: u16, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(watchers) = self.by_key.get(&(db, key.to_vec())) {
            watchers.iter().for_each(|watcher| watcher.flag.mark());
        }
    }

    /// A key was removed that may have been absent already for those who watch it: its time was over.
    pub(crate) fn remove_absent(&self, db: u16, key: &[u8]) {
        if !self.by_key.is_empty()
            && let Some(watchers) = self.by_key.get(&(db, key.to_vec()))
        {
            mark_present(watchers);
        }
    }

    /// All keys of a database have gone.
    pub(crate) fn empty(&self, db: u16) {
        // Who began to watch a key that was not there has been told already if it has come since.
        let watchers = self.by_key.iter().filter(|((d, _), _)| *d == db);
        watchers.for_each(|(_, watchers)| mark_present(watchers));
    }

    /// Fails the transactions of all who watch anything.
    pub(crate) fn mark_all(&self) {
        let watchers = self.by_key.values().flatten();
        watchers.for_each(|watcher| watcher.flag.mark());
    }

    pub(crate) fn keys_of(&self, db: u16) -> Vec<Vec<u8>> {
        self.by_key
            .keys()
            .filter(|(d, _)| *d == db)
            .map(|(_, key)| key.clone())
            .collect()
    }
}

/// Fails the transactions of those for whom the key was there when they began to watch it.
fn mark_present(watchers: &[Watcher]) {
    let present = watchers.iter().filter(|watcher| !watcher.was_absent);
    present.for_each(|watcher| watcher.flag.mark());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_removal_of_what_was_absent_is_no_change() {
        let mut table = WatchTable::default();
        let [absent, present, other] = [(); 3].map(|()| Arc::new(WatchFlag::default()));
        table.add(0, b"k", &absent, true);
        table.add(0, b"k", &present, false);
        table.add(1, b"k", &other, false);
        table.remove_absent(0, b"k");
        assert_eq!(
            (absent.is_dirty(), present.is_dirty(), other.is_dirty()),
            (false, true, false)
        );
        table.empty(0);
        assert_eq!((absent.is_dirty(), other.is_dirty()), (false, false));
        table.empty(1);
        assert!(other.is_dirty());
        table.touch(0, b"k");
        assert!(absent.is_dirty());
    }

    #[test]
    fn what_was_found_first_counts() {
        let mut table = WatchTable::default();
        let flag = Arc::new(WatchFlag::default());
        table.add(0, b"k", &flag, true);
        table.add(0, b"k", &flag, false);
        table.remove_absent(0, b"k");
        assert!(!flag.is_dirty());
        table.remove(0, b"k", &flag);
        assert!(table.is_empty());
    }
}
