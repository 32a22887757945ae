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
#[derive(Default)]
pub(crate) struct WatchTable {
    by_key: HashMap<(u16, Vec<u8>), Vec<Arc<WatchFlag>>>,
}

impl WatchTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn add(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>) {
        let flags = self.by_key.entry((db, key.to_vec())).or_default();
        if !flags.iter().any(|f| Arc::ptr_eq(f, flag)) {
            flags.push(flag.clone());
        }
    }

    pub(crate) fn remove(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>) {
        let at = (db, key.to_vec());
        if let Some(flags) = self.by_key.get_mut(&at) {
            flags.retain(|f| !Arc::ptr_eq(f, flag));
            if flags.is_empty() {
                self.by_key.remove(&at);
            }
        }
    }

    pub(crate) fn touch(&self, db: u16, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(flags) = self.by_key.get(&(db, key.to_vec())) {
            flags.iter().for_each(|flag| flag.mark());
        }
    }

    /// Fails the transactions of all who watch anything.
    pub(crate) fn mark_all(&self) {
        self.by_key.values().flatten().for_each(|flag| flag.mark());
    }

    pub(crate) fn keys_of(&self, db: u16) -> Vec<Vec<u8>> {
        self.by_key
            .keys()
            .filter(|(d, _)| *d == db)
            .map(|(_, key)| key.clone())
            .collect()
    }
}
