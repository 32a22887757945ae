use std::collections::{HashMap, HashSet, VecDeque};

use crate::task::Task;

/// Tasks that wait for a key, in the order in which they came.
#[derive(Default)]
pub(crate) struct BlockedTable {
    tasks: HashMap<u64, Waiting>,
    by_key: HashMap<(u16, Vec<u8>), VecDeque<u64>>,
}

struct Waiting {
    task: Option<Box<dyn Task>>,
    db: u16,
    keys: Vec<Vec<u8>>,
}

impl BlockedTable {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn waits_for(&self, db: u16, key: &[u8]) -> bool {
        !self.by_key.is_empty() && self.by_key.contains_key(&(db, key.to_vec()))
    }

    pub(crate) fn keys_of(&self, db: u16) -> Vec<Vec<u8>> {
        self.by_key
            .keys()
            .filter(|(d, _)| *d == db)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// Clients that wait for a key, first come first.
    pub(crate) fn waiters(&self, db: u16, key: &[u8]) -> Vec<u64> {
        self.by_key
            .get(&(db, key.to_vec()))
            .map(|queue| queue.iter().copied().collect())
            .unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, task: Box<dyn Task>, db: u16, keys: Vec<Vec<u8>>) {
        let client = task.client();
        let mut seen = HashSet::new();
        for key in &keys {
            if seen.insert(key) {
                self.by_key.entry((db, key.clone())).or_default().push_back(client);
            }
        }
        self.tasks.insert(
            client,
            Waiting {
                task: Some(task),
                db,
                keys,
            },
        );
    }

    /// Takes the task of a client out for another evaluation; its place in the queues is kept for
    /// [`BlockedTable::give_back`].
    pub(crate) fn lend(&mut self, client: u64) -> Option<Box<dyn Task>> {
        self.tasks.get_mut(&client)?.task.take()
    }

    pub(crate) fn give_back(&mut self, client: u64, task: Box<dyn Task>) {
        if let Some(waiting) = self.tasks.get_mut(&client) {
            waiting.task = Some(task);
        }
    }

    /// Forgets all clients; gives their tasks.
    pub(crate) fn take_all(&mut self) -> Vec<Box<dyn Task>> {
        self.by_key.clear();
        self.tasks.drain().filter_map(|(_, waiting)| waiting.task).collect()
    }

    /// Forgets a client; gives its task unless it is lent out.
    pub(crate) fn remove(&mut self, client: u64) -> Option<Box<dyn Task>> {
        let waiting = self.tasks.remove(&client)?;
        for key in waiting.keys {
            let at = (waiting.db, key);
            if let Some(queue) = self.by_key.get_mut(&at) {
                queue.retain(|&c| c != client);
                if queue.is_empty() {
                    self.by_key.remove(&at);
                }
            }
        }
        waiting.task
    }
}
