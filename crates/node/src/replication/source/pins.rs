//! What of the log those need who follow, beyond what is kept for everybody.
//!
//! Open streams and checkpoints hold readers of the log, which the log sees itself. Here is what has none: entries that
//! were sent and are not on a follower's disk yet, and followers that have been heard of lately and will go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use haypile_oplog::Readers;
use haypile_sync::message::Purpose;
use haypile_sync::source::{Dropped, PinSettings};
use haypile_sync::{NodeId, Time};

use super::Source;

/// Somebody for whom the log is kept.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Who.
    pub who: Who,
    /// Index of the first entry that is needed.
    pub needs: u64,
    /// Bytes of the log from there on.
    pub bytes: u64,
}

/// Who needs the log.
#[derive(Clone, Debug)]
pub enum Who {
    /// A follower that is connected: what is not on its disk may have to be sent again.
    Streams(NodeId, Purpose),
    /// A follower that is not connected at the moment, or copies.
    Away(NodeId, Purpose),
    /// Those who copy a checkpoint, so many, will go on where it ends.
    Checkpoint(String, usize),
}

impl Who {
    /// `stream`, `away` or `checkpoint`.
    pub fn kind(&self) -> &'static str {
        match self {
            Who::Streams(..) => "stream",
            Who::Away(..) => "away",
            Who::Checkpoint(..) => "checkpoint",
        }
    }

    /// The id of the node or of the checkpoint.
    pub fn id(&self) -> String {
        match self {
            Who::Streams(node, _) | Who::Away(node, _) => node.to_string(),
            Who::Checkpoint(id, _) => id.clone(),
        }
    }
}

impl Source {
    /// Index from which the log is needed, apart from readers; it starts at `first`. Who needs what is gone is forgotten,
    /// counted and named in the log: it will be told to start again from a checkpoint.
    pub(crate) fn log_needed_from(&self, now: Time, first: u64, keep_for: Duration) -> Option<u64> {
        let state = &mut *self.lock();
        state.progress.set_settings(PinSettings { keep_for });
        let (needed, dropped) = state.progress.retain_from(now, first);
        for (holder, why) in dropped {
            let replica = holder.node;
            match why {
                Dropped::Away => tracing::info!(%replica, "the log is not kept any more for a replica that is away"),
                Dropped::Collected { needs } => {
                    self.left_behind.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%replica, needs, first, "the log that a replica needs has been collected: it must copy a checkpoint. oplog-pinned-max-bytes says how much is kept, as long as the disk has room");
                }
            }
        }
        for (id, snapshot) in &state.snapshots {
            let needs = snapshot.manifest().position().index + 1;
            if needs < first && !snapshot.log_lost.swap(true, Ordering::Relaxed) {
                self.left_behind.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(checkpoint = %id, needs, first, "the log after a checkpoint that replicas copy has been collected: they must copy another. oplog-pinned-max-bytes says how much is kept, as long as the disk has room");
            }
        }
        needed
    }

    /// For whom the log is kept.
    pub fn pins(&self, readers: &Readers) -> Vec<Pin> {
        let state = self.lock();
        let followers = state.progress.iter().map(|(holder, follower)| {
            let who = match follower.streaming {
                Some(_) => Who::Streams(holder.node, holder.purpose),
                None => Who::Away(holder.node, holder.purpose),
            };
            (who, follower.needs)
        });
        let checkpoints = state.checkpoints.iter().filter_map(|(id, holders)| {
            let snapshot = state.snapshots.get(&id)?;
            let needs = snapshot.manifest().position().index + 1;
            Some((Who::Checkpoint(id.to_string(), holders), needs))
        });
        let pins = followers.chain(checkpoints);
        let pins = pins.map(|(who, needs)| Pin {
            who,
            needs,
            bytes: readers.bytes_from(needs),
        });
        pins.collect()
    }

    /// How often somebody's log was collected although it was needed.
    pub fn left_behind(&self) -> u64 {
        self.left_behind.load(Ordering::Relaxed)
    }
}
