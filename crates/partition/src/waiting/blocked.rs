//! Clients that wait for keys, in the lines in which they came.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use haypile_store::row::Kind;

use crate::task::{Awaited, Task};

/// Tasks that wait for keys. Each key has its line for each type, in the order in which the tasks came: whatever the
/// length of a line, its first task is found and any task leaves it in logarithmic time.
#[derive(Default)]
pub(crate) struct BlockedTable {
    tasks: HashMap<u64, Waiting>,
    lines: HashMap<u16, HashMap<Vec<u8>, Line>>,
    next_ticket: u64,
    count: Arc<AtomicUsize>,
}

/// Who waits for a key: clients by the type that it must have, and by the tickets that they drew when they came.
type Line = BTreeMap<(Kind, u64), u64>;

struct Waiting {
    /// `None` while the task is lent out.
    task: Option<Box<dyn Task>>,
    awaited: Awaited,
    ticket: u64,
}

impl BlockedTable {
    /// How many tasks there are, for those who do not have the turn.
    pub(crate) fn count(&self) -> Arc<AtomicUsize> {
        self.count.clone()
    }

    /// To be called when there are more or fewer tasks.
    fn changed(&self) {
        self.count.store(self.tasks.len(), Ordering::Relaxed);
    }

    pub(crate) fn waits_for(&self, db: u16, key: &[u8]) -> bool {
        self.lines.get(&db).is_some_and(|lines| lines.contains_key(key))
    }

    pub(crate) fn keys_of(&self, db: u16) -> Vec<Vec<u8>> {
        let lines = self.lines.get(&db);
        lines.into_iter().flat_map(HashMap::keys).cloned().collect()
    }

    pub(crate) fn insert(&mut self, task: Box<dyn Task>, awaited: Awaited) {
        let (client, ticket) = (task.client(), self.next_ticket);
        self.next_ticket += 1;
        if let Some(kind) = awaited.kind {
            let lines = self.lines.entry(awaited.db).or_default();
            for key in &awaited.keys {
                // A key that is named twice has the client once: the ticket is the same.
                lines.entry(key.clone()).or_default().insert((kind, ticket), client);
            }
        }
        let task = Some(task);
        self.tasks.insert(client, Waiting { task, awaited, ticket });
        self.changed();
    }

    /// The first client in the line for a key of this type that holds at least this ticket; and its ticket.
    pub(crate) fn next(&self, db: u16, key: &[u8], kind: Kind, ticket: u64) -> Option<(u64, u64)> {
        let line = self.lines.get(&db)?.get(key)?;
        let (&(_, ticket), &client) = line.range((kind, ticket)..=(kind, u64::MAX)).next()?;
        Some((client, ticket))
    }

    /// Takes the task of a client out to be served; its place in the lines is kept for [`BlockedTable::give_back`].
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
        self.lines.clear();
        let tasks = self.tasks.drain().filter_map(|(_, waiting)| waiting.task).collect();
        self.changed();
        tasks
    }

    /// Forgets those whose task was lent out and never came back.
    pub(crate) fn forget_lost(&mut self) {
        let lost = self.tasks.iter().filter(|(_, waiting)| waiting.task.is_none());
        let lost: Vec<u64> = lost.map(|(client, _)| *client).collect();
        for client in lost {
            self.remove(client);
        }
    }

    /// Forgets a client; gives its task unless it is lent out.
    pub(crate) fn remove(&mut self, client: u64) -> Option<Box<dyn Task>> {
        let Waiting { task, awaited, ticket } = self.tasks.remove(&client)?;
        self.changed();
        if let (Some(kind), Some(lines)) = (awaited.kind, self.lines.get_mut(&awaited.db)) {
            for key in awaited.keys {
                if let Some(line) = lines.get_mut(&key) {
                    line.remove(&(kind, ticket));
                    if line.is_empty() {
                        lines.remove(&key);
                    }
                }
            }
            if lines.is_empty() {
                self.lines.remove(&awaited.db);
            }
        }
        task
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitError, Step, Turn};

    struct Waiter(u64);

    impl Task for Waiter {
        fn client(&self) -> u64 {
            self.0
        }
        fn evaluate(&mut self, _: &mut Turn<'_>) -> Step {
            Step::Done
        }
        fn serve(&mut self, _: &mut Turn<'_>, _: &[u8]) -> bool {
            true
        }
        fn unblock(&mut self, _: Option<haypile_commands::CommandError>) {}
        fn finish(self: Box<Self>, _: Result<(), &CommitError>) {}
    }

    fn wait(table: &mut BlockedTable, client: u64, db: u16, keys: &[&str], kind: Option<Kind>) {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        table.insert(Box::new(Waiter(client)), Awaited { db, keys, kind });
    }

    /// The clients in a line, in order.
    fn line(table: &BlockedTable, db: u16, key: &str, kind: Kind) -> Vec<u64> {
        let (mut clients, mut from) = (Vec::new(), 0);
        while let Some((client, ticket)) = table.next(db, key.as_bytes(), kind, from) {
            clients.push(client);
            from = ticket + 1;
        }
        clients
    }

    #[test]
    fn each_key_has_a_line_for_each_type() {
        let mut table = BlockedTable::default();
        wait(&mut table, 7, 0, &["a", "b", "a"], Some(Kind::List));
        wait(&mut table, 3, 0, &["a"], Some(Kind::Zset));
        wait(&mut table, 5, 0, &["a"], Some(Kind::List));
        wait(&mut table, 4, 1, &["a"], Some(Kind::List));
        wait(&mut table, 9, 0, &[], None);
        assert_eq!(line(&table, 0, "a", Kind::List), [7, 5]);
        assert_eq!(line(&table, 0, "a", Kind::Zset), [3]);
        assert_eq!(line(&table, 1, "a", Kind::List), [4]);
        assert_eq!(line(&table, 0, "b", Kind::List), [7]);
        assert_eq!(line(&table, 0, "b", Kind::Zset), [0; 0]);
        assert_eq!(table.count().load(Ordering::Relaxed), 5);
        let mut keys = table.keys_of(0);
        keys.sort();
        assert_eq!(keys, [b"a", b"b"]);
        assert!(table.waits_for(1, b"a") && !table.waits_for(1, b"b") && !table.waits_for(2, b"a"));
    }

    #[test]
    fn who_leaves_leaves_all_lines() {
        let mut table = BlockedTable::default();
        wait(&mut table, 1, 0, &["a", "b", "a"], Some(Kind::List));
        wait(&mut table, 2, 0, &["b"], Some(Kind::List));
        assert_eq!(table.remove(1).map(|task| task.client()), Some(1));
        assert!(table.remove(1).is_none());
        assert!(!table.waits_for(0, b"a"));
        assert_eq!(line(&table, 0, "b", Kind::List), [2]);
        // Who comes again stands at the end.
        wait(&mut table, 1, 0, &["b"], Some(Kind::List));
        assert_eq!(line(&table, 0, "b", Kind::List), [2, 1]);
        table.remove(2);
        table.remove(1);
        assert!(table.lines.is_empty() && table.tasks.is_empty());
    }

    #[test]
    fn who_is_lent_out_keeps_its_place() {
        let mut table = BlockedTable::default();
        wait(&mut table, 1, 0, &["a"], Some(Kind::List));
        wait(&mut table, 2, 0, &["a"], Some(Kind::List));
        let task = table.lend(1).unwrap();
        assert!(table.lend(1).is_none());
        table.give_back(1, task);
        assert_eq!(line(&table, 0, "a", Kind::List), [1, 2]);
        drop(table.lend(1));
        table.forget_lost();
        assert_eq!(line(&table, 0, "a", Kind::List), [2]);
        assert_eq!(table.take_all().len(), 1);
        assert!(!table.waits_for(0, b"a"));
    }
}
