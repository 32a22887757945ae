//! What followers have confirmed, and from where on they need the log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Holder;
use crate::{Purpose, Time};

/// What a follower has confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acks {
    /// Index up to which its log is durable.
    pub durable: u64,
    /// Index up to which its readers see the entries.
    pub applied: u64,
}

/// How far a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// What it has confirmed.
    pub acks: Acks,
    /// Index of the first entry that it still needs.
    pub needs: u64,
    /// When it was last heard on its stream; `None` while it has none.
    pub streaming: Option<Time>,
    /// When it gave its last sign of life. The log is kept for it from then on for [`PinSettings::keep_for`].
    pub seen: Time,
}

/// Why the log is not kept any more for a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Nothing was heard of it for too long.
    Away,
    /// What it needs had to go: it will be told to start again from a checkpoint.
    Collected {
        /// Index of the first entry that it needs.
        needs: u64,
    },
}

/// How long the log is kept for those who are away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSettings {
    /// How long the log is kept for a follower of which nothing is heard (`oplog-pinned-away-seconds`). The cap in bytes
    /// comes from outside ([`Progress::retain_from`]).
    pub keep_for: Duration,
}

impl Default for PinSettings {
    fn default() -> Self {
        PinSettings {
            keep_for: Duration::from_secs(3600),
        }
    }
}

/// How far the followers of one partition are: for WAIT and WAITAOF, for `min-replicas-to-write`, and to know how much
/// log must be kept.
#[derive(Clone, Debug)]
pub struct Progress {
    settings: PinSettings,
    followers: BTreeMap<Holder, Follower>,
}

impl Progress {
    /// No followers.
    pub fn new(settings: PinSettings) -> Self {
        Progress {
            settings,
            followers: BTreeMap::new(),
        }
    }

    /// Changes how long the log is kept.
    pub fn set_settings(&mut self, settings: PinSettings) {
        self.settings = settings;
    }

    /// A follower will go on at `needs`: TrySync was answered so, or it copies a checkpoint that ends before.
    /// The log is kept from there.
    pub fn pin(&mut self, now: Time, holder: Holder, needs: u64) {
        let follower = Follower {
            acks: Acks::default(),
            needs,
            streaming: None,
            seen: now,
        };
        self.followers.insert(holder, follower);
    }

    /// The stream of a follower is open. What it sends on it is relative to our log from here on.
    pub fn stream_opened(&mut self, now: Time, holder: Holder, from: u64) {
        self.pin(now, holder, from);
        if let Some(follower) = self.followers.get_mut(&holder) {
            follower.streaming = Some(now);
        }
    }

    /// A follower confirmed. Positions that are behind what it confirmed before are late, and change nothing. Without an
    /// open stream nothing is taken: its log may not be a beginning of ours.
    pub fn acked(&mut self, now: Time, holder: Holder, acks: Acks) {
        if let Some(follower) = self.followers.get_mut(&holder)
            && follower.streaming.is_some()
        {
            follower.acks.durable = follower.acks.durable.max(acks.durable);
            follower.acks.applied = follower.acks.applied.max(acks.applied);
            // What is not durable there may have to be sent again.
            follower.needs = follower.needs.max(follower.acks.durable + 1);
            follower.streaming = Some(now);
            follower.seen = now;
        }
    }

    /// The stream of a follower is closed. It counts no longer; the log is kept for it.
    pub fn stream_closed(&mut self, now: Time, holder: Holder) {
        if let Some(follower) = self.followers.get_mut(&holder) {
            follower.streaming = None;
            follower.seen = now;
        }
    }

    /// A follower will not come back.
    pub fn forget(&mut self, holder: Holder) {
        self.followers.remove(&holder);
    }

    /// Replicas whose readers see the entry at `index` (WAIT).
    pub fn applied(&self, index: u64) -> usize {
        self.replicas()
            .filter(|follower| follower.acks.applied >= index)
            .count()
    }

    /// Replicas that have the entry at `index` durably (WAITAOF).
    pub fn durable(&self, index: u64) -> usize {
        self.replicas()
            .filter(|follower| follower.acks.durable >= index)
            .count()
    }

    /// Replicas that were heard within `max_lag` (`min-replicas-max-lag`).
    pub fn good_replicas(&self, now: Time, max_lag: Duration) -> usize {
        let heard = self.replicas().filter_map(|follower| follower.streaming);
        heard.filter(|heard| now.since(*heard) <= max_lag).count()
    }

    fn replicas(&self) -> impl Iterator<Item = &Follower> {
        let replicas = self
            .followers
            .iter()
            .filter(|(holder, _)| holder.purpose == Purpose::Replica);
        replicas
            .map(|(_, follower)| follower)
            .filter(|follower| follower.streaming.is_some())
    }

    /// Index from which the log must be kept; `None` = nobody needs any. `first_kept` is the first entry that there is, or that
    /// the caps in bytes and hours leave. A follower without a stream that needs an earlier one is dropped and returned, to be
    /// told that its log has been collected; so is one that is away for too long. An open stream may have sent already what
    /// has not been acknowledged: whoever reads the log for it knows whether it can go on.
    pub fn retain_from(&mut self, now: Time, first_kept: u64) -> (Option<u64>, Vec<(Holder, Dropped)>) {
        let keep_for = self.settings.keep_for;
        let mut dropped = Vec::new();
        self.followers.retain(|holder, follower| {
            let why = match follower.streaming {
                Some(_) => None,
                None if follower.needs < first_kept => Some(Dropped::Collected { needs: follower.needs }),
                None if now.since(follower.seen) >= keep_for => Some(Dropped::Away),
                None => None,
            };
            dropped.extend(why.map(|why| (*holder, why)));
            why.is_none()
        });
        let needs = self.followers.values().map(|follower| follower.needs).min();
        (needs.map(|needs| needs.max(first_kept)), dropped)
    }

    /// How far one follower is; `None` if it is not known.
    pub fn get(&self, holder: Holder) -> Option<&Follower> {
        self.followers.get(&holder)
    }

    /// All followers that are known.
    pub fn iter(&self) -> impl Iterator<Item = (&Holder, &Follower)> {
        self.followers.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn holder(node: u128, purpose: Purpose) -> Holder {
        Holder {
            node: NodeId(node),
            purpose,
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn wait_counts_replicas_that_stream() {
        let mut progress = Progress::new(PinSettings::default());
        let (replica, away) = (holder(1, Purpose::Replica), holder(2, Purpose::Replica));
        let learner = holder(3, Purpose::Learner);
        for holder in [replica, away, learner] {
            progress.stream_opened(at(0), holder, 5);
            progress.acked(at(1), holder, Acks { durable: 7, applied: 9 });
        }
        progress.stream_closed(at(2), away);
        assert_eq!((progress.applied(9), progress.applied(10)), (1, 0));
        assert_eq!((progress.durable(7), progress.durable(8)), (1, 0));
        assert_eq!(progress.good_replicas(at(5), Duration::from_secs(4)), 1);
        assert_eq!(progress.good_replicas(at(6), Duration::from_secs(4)), 0);
    }

    #[test]
    fn acks_never_go_back_and_need_a_stream() {
        let mut progress = Progress::new(PinSettings::default());
        let replica = holder(1, Purpose::Replica);
        progress.pin(at(0), replica, 5);
        progress.acked(
            at(0),
            replica,
            Acks {
                durable: 100,
                applied: 100,
            },
        );
        assert_eq!(progress.applied(1), 0);
        progress.stream_opened(at(0), replica, 5);
        progress.acked(at(0), replica, Acks { durable: 8, applied: 9 });
        progress.acked(at(0), replica, Acks { durable: 6, applied: 7 });
        assert_eq!(progress.iter().next().unwrap().1.acks, Acks { durable: 8, applied: 9 });
    }

    #[test]
    fn the_log_is_kept_for_the_slowest_up_to_the_caps() {
        let mut progress = Progress::new(PinSettings {
            keep_for: Duration::from_secs(60),
        });
        let (fast, slow, away) = (
            holder(1, Purpose::Replica),
            holder(2, Purpose::Replica),
            holder(3, Purpose::Duplication),
        );
        progress.stream_opened(at(0), fast, 1);
        progress.acked(
            at(0),
            fast,
            Acks {
                durable: 90,
                applied: 99,
            },
        );
        progress.stream_opened(at(0), slow, 40);
        progress.pin(at(0), away, 20);
        assert_eq!(progress.retain_from(at(59), 1), (Some(20), vec![]));
        assert_eq!(progress.retain_from(at(60), 1), (Some(40), vec![(away, Dropped::Away)]));
        assert_eq!(
            progress.retain_from(at(60), 41),
            (Some(41), vec![]),
            "it may have been sent"
        );
        progress.stream_closed(at(60), slow);
        assert_eq!(
            progress.retain_from(at(60), 41),
            (Some(91), vec![(slow, Dropped::Collected { needs: 40 })])
        );
    }
}
