//! Entries that somebody else wrote: logged under the positions that they have, and published.

use std::sync::atomic::Ordering;

use haypile_oplog::SyncPolicy;
use haypile_store::effects::Effects;
use haypile_sync::Tenure;
use haypile_sync::message::Message;
use haypile_types::Position;

use crate::panics::guarded;
use crate::partition::{Partition, Shared, Writer};
use crate::role::Role;
use crate::{CommitError, Event, events, waiting};

/// An entry of another's log.
#[derive(Clone, Copy, Debug)]
pub struct ReplicatedEntry<'a> {
    /// Its place, in this log too.
    pub position: Position,
    /// Its hybrid-logical-clock timestamp.
    pub timestamp: u64,
    /// Its effects.
    pub payload: &'a [u8],
}

/// Why entries were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicatedError {
    /// The partition writes its own log, or follows anew.
    #[error("the partition has another role by now")]
    NotFollowing,
    /// They do not follow the log's end.
    #[error("{entry} cannot follow {end}")]
    Order {
        /// The entry.
        entry: Position,
        /// The log's end.
        end: Position,
    },
    /// An entry that is not what this program writes. Nothing was logged.
    #[error("{entry} cannot be read: {cause}")]
    Corrupt {
        /// The entry.
        entry: Position,
        /// What is wrong.
        cause: String,
    },
    /// The log or the store.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Partition {
    /// Appends entries that follow the log's end and publishes them, for the follower that it is in this tenure. With `sync always` they are durable then.
    /// `messages`, which wait for them, are delivered once they are visible.
    ///
    /// # Errors
    /// Nothing of the batch counts, unless the error is [`CommitError::Poisoned`].
    pub fn append_replicated<'a>(
        &self,
        tenure: Tenure,
        entries: impl Iterator<Item = ReplicatedEntry<'a>> + Clone,
        messages: Vec<Message>,
    ) -> Result<(), ReplicatedError> {
        let shared = &*self.shared;
        check(entries.clone())?;
        let last = loop {
            let mut writer = shared.visit();
            if writer.pending.is_empty() {
                let appended = guarded(|| shared.append_replicated(&mut writer, tenure, entries.clone()));
                let index = appended.unwrap_or_else(|cause| {
                    writer.oplog.discard_pushed();
                    Err(shared.panicked(cause).into())
                })?;
                shared.publish(shared.told(entries, messages));
                break index;
            }
            // Own entries, from before it was a follower, that wait for their sync: first they, then these.
            drop(writer);
            shared.syncer.sync().map_err(|error| CommitError::from_log(&error))?;
            shared.publish_durable();
        };
        if let Some(index) = last {
            shared
                .syncer
                .sync_to(index)
                .map_err(|error| CommitError::from_log(&error))?;
        }
        Ok(())
    }

    /// Has the next entries that are appended cause a panic after they are logged, as a defect would: to see what becomes of it.
    pub fn panic_in_replay(&self) {
        self.shared.panics_in_replay.store(true, Ordering::Relaxed);
    }

    /// Delivers messages that came between entries, all of which are visible.
    pub fn publish_replicated(&self, messages: Vec<Message>) {
        self.shared.publish(self.shared.told(std::iter::empty(), messages));
    }
}

/// A larger buffer for the effects of a batch is not kept for the next.
pub(crate) const REPLICATED_BYTES_KEPT: usize = 4 << 20;

impl Shared {
    /// Gives the index up to which the log is to be synced, if it is.
    fn append_replicated<'a>(
        &self,
        writer: &mut Writer,
        tenure: Tenure,
        entries: impl Iterator<Item = ReplicatedEntry<'a>>,
    ) -> Result<Option<u64>, ReplicatedError> {
        if self.role() == Role::Leader || !self.is_current(tenure) {
            return Err(ReplicatedError::NotFollowing);
        }
        if let Some(text) = self.disk_refusal() {
            return Err(CommitError::NotLogged(text).into());
        }
        let mut payloads = std::mem::take(&mut writer.replicated);
        payloads.clear();
        let mut end = writer.oplog.last();
        let mut clock = writer.last_clock;
        for entry in entries {
            if entry.position.index != end.index + 1 || entry.position.term < end.term {
                writer.oplog.discard_pushed();
                let entry = entry.position;
                return Err(ReplicatedError::Order { entry, end });
            }
            writer.oplog.push(entry.position, entry.timestamp, entry.payload);
            payloads.extend_from_slice(entry.payload);
            end = entry.position;
            clock = clock.max(entry.timestamp);
        }
        if let Err(error) = writer.oplog.write() {
            let error = CommitError::from_log(&error);
            tracing::error!(%error, "the log cannot be written");
            self.refuse(&error);
            return Err(error.into());
        }
        if self.panics_in_replay.load(Ordering::Relaxed) {
            panic!("a panic that was asked for, at entries from the source");
        }
        writer.next_index = end.index + 1;
        writer.term = end.term;
        writer.last_clock = clock;
        writer.logged_bytes += payloads.len() as u64;
        self.publish_replayed(writer, &payloads, end, clock)?;
        if payloads.capacity() <= REPLICATED_BYTES_KEPT {
            writer.replicated = payloads;
        }
        let always = writer.oplog.sync_policy() == SyncPolicy::Always;
        Ok(always.then_some(end.index))
    }

    /// Publishes what somebody else has written, up to the entry at `end`.
    pub(crate) fn publish_replayed(
        &self,
        writer: &mut Writer,
        payloads: &[u8],
        end: Position,
        clock: u64,
    ) -> Result<(), CommitError> {
        // What the writer remembered of collections may have changed behind its back.
        writer.overlay.forget_knowledge();
        match self.store.replay(payloads, end, clock) {
            Ok(applied) => {
                if applied.remapped {
                    self.commits.unmapped();
                }
                self.settle_soon(applied);
            }
            Err(error) => {
                let error = CommitError::Poisoned(error.to_string());
                tracing::error!(%error, "an entry from the source cannot be applied");
                self.refuse(&error);
                return Err(error);
            }
        }
        if !writer.watch.is_empty() {
            waiting::touch(&self.store, &writer.watch, payloads, self.clock.now_ms());
        }
        Ok(())
    }

    /// What subscribers hear of entries, and the messages among them.
    pub(crate) fn told<'a>(
        &self,
        entries: impl Iterator<Item = ReplicatedEntry<'a>>,
        messages: Vec<Message>,
    ) -> Vec<Event> {
        let mut messages = messages.into_iter().peekable();
        let mut told = Vec::new();
        if self.counters.wants_any() {
            for entry in entries {
                let index = entry.position.index;
                events::of_entry(entry.payload, &self.counters, &mut told, |offset, told| {
                    let comes_before = |message: &Message| match message.within {
                        Some(bytes) if message.after == index => bytes <= offset as u64,
                        _ => message.after < index,
                    };
                    while let Some(message) = messages.next_if(comes_before) {
                        told.push(Event::Message(message));
                    }
                });
            }
        }
        told.extend(messages.map(Event::Message));
        told
    }
}

/// What is logged is replayed at each start: it must be readable.
fn check<'a>(entries: impl Iterator<Item = ReplicatedEntry<'a>>) -> Result<(), ReplicatedError> {
    for entry in entries {
        if let Some(Err(error)) = Effects::new(entry.payload).find(Result::is_err) {
            return Err(ReplicatedError::Corrupt {
                entry: entry.position,
                cause: error.to_string(),
            });
        }
    }
    Ok(())
}
