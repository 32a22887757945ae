//! Messages of pub/sub for the replicas' subscribers. A queue for each stream; nobody waits for a slow replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use haypile_oplog::Readers;
use haypile_sync::message::Message;
use haypile_sync::stream::Outbox;
use parking_lot::Mutex;

/// Bytes of a frame of messages; a single message may exceed it.
const FRAME_BYTES: u64 = 1 << 20;

/// The messages of one stream, from those who publish to the stream's thread.
pub(in crate::replication) struct Outlet {
    outbox: Mutex<Outbox>,
    /// The log at whose end the stream's thread sleeps.
    readers: Readers,
    overflown: AtomicBool,
}

impl Outlet {
    pub(in crate::replication) fn new(readers: Readers) -> Arc<Outlet> {
        Arc::new(Outlet {
            outbox: Mutex::default(),
            readers,
            overflown: AtomicBool::new(false),
        })
    }

    /// The next frame's messages, see [`Outbox::take`].
    pub(in crate::replication) fn take(&self, through: u64) -> Vec<Message> {
        self.outbox.lock().take(through, FRAME_BYTES)
    }

    /// True if there are any.
    pub(in crate::replication) fn has(&self, through: u64) -> bool {
        self.outbox.lock().has(through)
    }
}

/// All streams' queues.
#[derive(Default)]
pub struct Published {
    outlets: ArcSwap<Vec<Arc<Outlet>>>,
    dropped: AtomicU64,
}

impl Published {
    /// True if nobody follows: nothing has to be made ready for sending then.
    pub fn is_idle(&self) -> bool {
        self.outlets.load().is_empty()
    }

    /// How many messages slow replicas have not been sent, over all replicas.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues a message for all streams. `after` is asked for each of them, in the moment in which the message gets its
    /// place: so a message that is published later has a later one.
    pub fn send(&self, message: &Message, after: impl Fn() -> u64, bytes_max: u64) {
        for outlet in self.outlets.load().iter() {
            let kept = {
                let mut outbox = outlet.outbox.lock();
                let after = after();
                outbox.push(
                    Message {
                        after,
                        ..message.clone()
                    },
                    bytes_max,
                )
            };
            if kept {
                outlet.readers.wake();
                continue;
            }
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if !outlet.overflown.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    queue_bytes_max = bytes_max,
                    "a replica is too slow for the messages of pub/sub: some are dropped (repl-pubsub-buffer-bytes)"
                );
            }
        }
    }

    /// Forgets messages that come after entries from this index on.
    pub fn take_back(&self, from: u64) {
        for outlet in self.outlets.load().iter() {
            outlet.outbox.lock().take_back(from);
        }
    }

    pub(in crate::replication) fn add(&self, outlet: &Arc<Outlet>) {
        self.outlets.rcu(|outlets| {
            let mut outlets = Vec::clone(outlets);
            outlets.push(outlet.clone());
            outlets
        });
    }

    pub(in crate::replication) fn remove(&self, outlet: &Arc<Outlet>) {
        self.outlets.rcu(|outlets| {
            let mut outlets = Vec::clone(outlets);
            outlets.retain(|other| !Arc::ptr_eq(other, outlet));
            outlets
        });
    }
}
