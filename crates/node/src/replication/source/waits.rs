//! WAIT and WAITAOF: clients that wait for replicas.

use std::sync::atomic::{AtomicUsize, Ordering};

use haypile_resp::Reply;
use parking_lot::Mutex;

use super::Source;
use crate::partitions::Partitions;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Index of the entry that must have arrived.
    pub index: u64,
    /// At so many replicas.
    pub replicas: usize,
    /// On their disks, not only visible there.
    pub durable: bool,
    /// WAITAOF: whether it is on this server's disk.
    pub local: Option<bool>,
}

/// Clients that wait.
#[derive(Default)]
pub struct Waits {
    clients: Mutex<Vec<(u64, Wait)>>,
    /// How many they are, to be looked at without the lock.
    count: AtomicUsize,
}

impl Wait {
    /// Replicas that have what is waited for.
    fn count(&self, source: &Source) -> usize {
        match self.durable {
            true => source.durable(self.index),
            false => source.applied(self.index),
        }
    }

    /// True if nothing is left to wait for.
    pub fn is_over(&self, source: &Source) -> bool {
        self.replicas == 0 || self.count(source) >= self.replicas
    }

    /// What the client is told, at the end of its wait or of its time.
    pub fn reply(&self, source: &Source, reply: &mut Reply) {
        if let Some(local) = self.local {
            reply.array(2);
            reply.integer(i64::from(local));
        }
        reply.integer(self.count(source) as i64);
    }
}

impl Waits {
    /// A client begins to wait, in its turn; it waits once at most.
    pub fn add(&self, client: u64, wait: Wait) {
        let mut waits = self.clients.lock();
        waits.retain(|(known, _)| *known != client);
        waits.push((client, wait));
        self.count.store(waits.len(), Ordering::Release);
    }

    /// It waits no longer.
    pub fn remove(&self, client: u64) {
        let mut waits = self.clients.lock();
        waits.retain(|(known, _)| *known != client);
        self.count.store(waits.len(), Ordering::Release);
    }

    /// True if nobody waits.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// A replica has acknowledged something: ends the waits that are over. Not within a turn.
    pub(in crate::replication) fn acked(&self, source: &Source, partitions: &Partitions) {
        if self.is_empty() {
            return;
        }
        // What is found here is forgotten when its client is told, or, if it has yet to begin its wait, looks again.
        partitions.unblock_all(|| {
            let waits = self.clients.lock();
            let over = waits.iter().filter(|(_, wait)| wait.is_over(source));
            over.map(|(client, _)| *client).collect()
        });
    }
}
