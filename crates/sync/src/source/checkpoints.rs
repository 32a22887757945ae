//! The checkpoints that a source holds for its followers, with leases.

use std::collections::BTreeMap;
use std::time::Duration;

use haypile_types::Random;

use super::Holder;
use crate::copy::CopyRefusal;
use crate::{SnapshotId, Time};

/// Limits of a partition's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// A checkpoint is handed to further followers until it is this old; longer while there may not be another.
    pub share_for: Duration,
    /// A follower that has neither read from its checkpoint nor renewed its lease for this long holds it no longer. Longer
    /// than a restart takes.
    pub lease: Duration,
    /// Checkpoints that exist at the same time, at least 1. Each keeps files on the disk that compaction has replaced.
    pub checkpoints_max: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        CheckpointSettings {
            share_for: Duration::from_secs(300),
            lease: Duration::from_secs(120),
            checkpoints_max: 2,
        }
    }
}

/// The answer to a follower that wants a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Make one under this id, report it with [`Checkpoints::made`]; and answer `Busy` meanwhile.
    Make(SnapshotId),
    /// One is being made: answer `Busy`.
    Busy,
    /// This one. The follower holds it now.
    Ready(SnapshotId),
}

/// A checkpoint that has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Index of the last entry it contains.
    pub index: u64,
}

/// The checkpoints of one partition: made when somebody asks, shared by all who ask while it is fresh, dropped when the
/// last one has left. Each id that [`Checkpoints::expire`] and the others return is to be removed from the disk.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    settings: CheckpointSettings,
    making: Option<SnapshotId>,
    /// Who waits for the one that is being made, and until when.
    waiting: BTreeMap<Holder, Time>,
    alive: BTreeMap<SnapshotId, Checkpoint>,
}

#[derive(Clone, Debug)]
struct Checkpoint {
    made: Made,
    at: Time,
    /// Found to be damaged: those who have it may keep what is good, nobody else gets it.
    damaged: bool,
    /// Who holds it, and until when.
    leases: BTreeMap<Holder, Time>,
}

impl Checkpoints {
    /// None.
    pub fn new(settings: CheckpointSettings) -> Self {
        Checkpoints {
            settings,
            making: None,
            waiting: BTreeMap::new(),
            alive: BTreeMap::new(),
        }
    }

    /// Takes other limits. Leases that have been given stay as they are until they are renewed.
    pub fn set_settings(&mut self, settings: CheckpointSettings) {
        self.settings = settings;
    }

    /// A follower wants a checkpoint; not `reject`, which turned out to be damaged. The one it holds already is given
    /// to it again, whatever its age. It never holds two.
    ///
    /// The log begins at index `log_first`: with a checkpoint that ends before, a follower could not go on, and would
    /// want another as soon as it had this one.
    pub fn acquire(
        &mut self,
        now: Time,
        holder: Holder,
        reject: Option<SnapshotId>,
        log_first: u64,
        rng: &mut dyn Random,
    ) -> Acquired {
        if let Some(checkpoint) = reject.and_then(|id| self.alive.get_mut(&id)) {
            checkpoint.damaged = true;
        }
        let useful = |checkpoint: &Checkpoint| !checkpoint.damaged && checkpoint.made.index + 1 >= log_first;
        for checkpoint in self.alive.values_mut().filter(|checkpoint| !useful(checkpoint)) {
            if let Some(lease) = checkpoint.leases.get_mut(&holder) {
                *lease = now; // ends with the next `expire`
            }
        }
        let until = now + self.settings.lease;
        let share_for = self.settings.share_for;
        let held = |checkpoint: &Checkpoint| checkpoint.leases.contains_key(&holder);
        let fresh = |checkpoint: &Checkpoint| now.since(checkpoint.at) < share_for;
        let is_full = self.alive.len() >= self.settings.checkpoints_max.max(1);
        // There can be no fresher one for as long as others copy slowly.
        let last_resort = |_: &Checkpoint| is_full && self.making.is_none();
        let find = |wanted: &dyn Fn(&Checkpoint) -> bool| {
            let all = self.alive.iter();
            all.filter(|(_, checkpoint)| useful(checkpoint) && wanted(checkpoint))
                .max_by_key(|(_, checkpoint)| checkpoint.at)
                .map(|(id, _)| *id)
        };
        if let Some(id) = find(&held).or_else(|| find(&fresh)).or_else(|| find(&last_resort)) {
            for (other, checkpoint) in &mut self.alive {
                if *other == id {
                    checkpoint.leases.insert(holder, until);
                } else if let Some(lease) = checkpoint.leases.get_mut(&holder) {
                    *lease = now;
                }
            }
            return Acquired::Ready(id);
        }
        self.waiting.insert(holder, until);
        if self.making.is_some() || is_full {
            return Acquired::Busy;
        }
        let id = SnapshotId((u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()));
        self.making = Some(id);
        Acquired::Make(id)
    }

    /// The checkpoint that was being made is there; or it could not be made, and the next who asks starts again. It goes
    /// to those who wait for it. Returns whether it is wanted: if not, remove it.
    pub fn made(&mut self, now: Time, id: SnapshotId, made: Option<Made>) -> bool {
        if self.making != Some(id) {
            return false;
        }
        self.making = None;
        let Some(made) = made else {
            return false;
        };
        let mut leases = std::mem::take(&mut self.waiting);
        leases.retain(|_, until| *until > now);
        if leases.is_empty() {
            return false;
        }
        self.alive.insert(
            id,
            Checkpoint {
                made,
                at: now,
                damaged: false,
                leases,
            },
        );
        true
    }

    /// A follower reads from the checkpoint that it holds, or says that it still needs it: it holds it for longer.
    ///
    /// A heartbeat of its session does not do that: it may have given up the copy, and nobody would ever drop what it
    /// held.
    pub fn renew(&mut self, now: Time, holder: Holder, id: SnapshotId) -> Result<(), CopyRefusal> {
        let lease = self
            .alive
            .get_mut(&id)
            .and_then(|checkpoint| checkpoint.leases.get_mut(&holder));
        *lease.ok_or(CopyRefusal::Gone)? = now + self.settings.lease;
        Ok(())
    }

    /// A follower has all it needs. Returns the checkpoints that nobody holds any more.
    pub fn release(&mut self, holder: Holder, id: SnapshotId) -> Vec<SnapshotId> {
        if let Some(checkpoint) = self.alive.get_mut(&id) {
            checkpoint.leases.remove(&holder);
        }
        self.drop_unheld()
    }

    /// A file of this checkpoint is damaged: nobody else gets it.
    pub fn condemn(&mut self, id: SnapshotId) {
        if let Some(checkpoint) = self.alive.get_mut(&id) {
            checkpoint.damaged = true;
        }
    }

    /// Ends the leases that have run out. Returns the checkpoints that nobody holds any more.
    pub fn expire(&mut self, now: Time) -> Vec<SnapshotId> {
        self.waiting.retain(|_, until| *until > now);
        for checkpoint in self.alive.values_mut() {
            checkpoint.leases.retain(|_, until| *until > now);
        }
        self.drop_unheld()
    }

    /// Ends everything, because the partition's own data is replaced. Returns the checkpoints.
    pub fn clear(&mut self) -> Vec<SnapshotId> {
        self.making = None;
        self.waiting.clear();
        std::mem::take(&mut self.alive).into_keys().collect()
    }

    /// When the next lease can run out.
    pub fn deadline(&self) -> Option<Time> {
        let leases = self.alive.values().map(|checkpoint| &checkpoint.leases);
        leases.chain([&self.waiting]).flat_map(BTreeMap::values).min().copied()
    }

    /// Index of the first entry that a follower with one of the checkpoints will need: the log must be kept from there.
    pub fn log_needed_from(&self) -> Option<u64> {
        self.alive.values().map(|checkpoint| checkpoint.made.index + 1).min()
    }

    /// The checkpoints there are, with the number of followers that hold each.
    pub fn iter(&self) -> impl Iterator<Item = (SnapshotId, usize)> + '_ {
        self.alive.iter().map(|(id, checkpoint)| (*id, checkpoint.leases.len()))
    }

    fn drop_unheld(&mut self) -> Vec<SnapshotId> {
        let unheld = self.alive.iter().filter(|(_, checkpoint)| checkpoint.leases.is_empty());
        let unheld: Vec<_> = unheld.map(|(id, _)| *id).collect();
        for id in &unheld {
            self.alive.remove(id);
        }
        unheld
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use crate::{NodeId, Purpose};

    fn holder(node: u128) -> Holder {
        Holder {
            node: NodeId(node),
            purpose: Purpose::Replica,
        }
    }

    struct Side(Checkpoints, Rng);

    impl Side {
        fn new() -> Self {
            Side(Checkpoints::new(CheckpointSettings::default()), Rng(1))
        }

        fn ask(&mut self, at_s: u64, node: u128) -> Acquired {
            self.0
                .acquire(Time::from_millis(at_s * 1000), holder(node), None, 0, &mut self.1)
        }

        fn make(&mut self, at_s: u64, node: u128) -> SnapshotId {
            let Acquired::Make(id) = self.ask(at_s, node) else {
                panic!("there is one already")
            };
            assert!(
                self.0
                    .made(Time::from_millis(at_s * 1000), id, Some(Made { index: at_s }))
            );
            id
        }
    }

    #[test]
    fn several_followers_share_one_and_the_last_one_drops_it() {
        let mut side = Side::new();
        let Acquired::Make(id) = side.ask(0, 1) else { panic!() };
        assert_eq!(side.ask(0, 1), Acquired::Busy);
        assert_eq!(side.ask(1, 2), Acquired::Busy);
        assert!(side.0.made(Time::from_millis(2000), id, Some(Made { index: 7 })));
        for node in [1, 2, 3] {
            assert_eq!(side.ask(2, node), Acquired::Ready(id));
        }
        assert_eq!(side.0.log_needed_from(), Some(8));
        assert_eq!(side.0.release(holder(1), id), []);
        assert_eq!(side.0.release(holder(1), id), []);
        assert_eq!(side.0.release(holder(2), id), []);
        assert_eq!(side.0.renew(Time::default(), holder(1), id), Err(CopyRefusal::Gone));
        assert_eq!(side.0.release(holder(3), id), [id]);
        assert_eq!(side.0.log_needed_from(), None);
    }

    #[test]
    fn a_second_checkpoint_leaves_the_first_alone() {
        let mut side = Side::new();
        let first = side.make(0, 1);
        side.0.renew(Time::from_millis(110_000), holder(1), first).unwrap();
        side.0.renew(Time::from_millis(350_000), holder(1), first).unwrap();
        let second = side.make(400, 2);
        assert_eq!(
            side.ask(400, 1),
            Acquired::Ready(first),
            "who holds one goes on with it"
        );
        assert_eq!(side.ask(400, 3), Acquired::Ready(second));
        side.0.renew(Time::from_millis(750_000), holder(1), first).unwrap();
        side.0.renew(Time::from_millis(750_000), holder(2), second).unwrap();
        assert_eq!(
            side.ask(800, 4),
            Acquired::Ready(second),
            "there are as many as there may be: the newest will do"
        );
        side.0.condemn(second);
        assert_eq!(side.ask(801, 5), Acquired::Ready(first));
        side.0.condemn(first);
        assert_eq!(side.ask(802, 6), Acquired::Busy);
        assert_eq!(side.0.release(holder(4), second), []);
        assert_eq!(side.0.release(holder(5), first), []);
        assert_eq!(side.0.expire(Time::from_millis(870_000)).len(), 2);
        assert!(matches!(side.ask(871, 4), Acquired::Make(_)));
    }

    #[test]
    fn reading_keeps_a_lease() {
        let mut side = Side::new();
        let id = side.make(0, 1);
        assert_eq!(side.0.deadline(), Some(Time::from_millis(120_000)));
        side.0.renew(Time::from_millis(100_000), holder(1), id).unwrap();
        assert!(side.0.expire(Time::from_millis(219_000)).is_empty());
        assert_eq!(side.0.expire(Time::from_millis(220_000)), [id]);
    }

    #[test]
    fn a_damaged_one_is_not_handed_out_again() {
        let mut side = Side::new();
        let bad = side.make(0, 1);
        let now = Time::from_millis(1000);
        let answer = side.0.acquire(now, holder(1), Some(bad), 0, &mut side.1);
        assert!(matches!(answer, Acquired::Make(id) if id != bad));
        assert_eq!(side.0.expire(now), [bad]);
    }

    #[test]
    fn one_that_the_log_does_not_reach_back_to_is_not_handed_out_again() {
        let mut side = Side::new();
        let old = side.make(10, 1);
        side.ask(10, 2);
        let now = Time::from_millis(11_000);
        let mut ask = |node, log_first| {
            let Side(checkpoints, random) = &mut side;
            checkpoints.acquire(now, holder(node), None, log_first, random)
        };
        assert_eq!(ask(1, 11), Acquired::Ready(old), "the next entry is the log's first");
        assert!(matches!(ask(1, 12), Acquired::Make(id) if id != old));
        assert_eq!(ask(3, 12), Acquired::Busy);
        assert_eq!(side.0.expire(now), [], "the second may know nothing of it yet");
        assert_eq!(side.0.release(holder(2), old), [old]);
    }

    #[test]
    fn what_nobody_waits_for_is_not_kept() {
        let mut side = Side::new();
        let Acquired::Make(id) = side.ask(0, 1) else { panic!() };
        assert!(!side.0.made(Time::from_millis(120_000), id, Some(Made { index: 7 })));
        let Acquired::Make(next) = side.ask(121, 1) else {
            panic!()
        };
        assert!(
            !side.0.made(Time::from_millis(121_000), id, Some(Made { index: 7 })),
            "an old one"
        );
        assert!(!side.0.made(Time::from_millis(121_000), next, None));
        assert!(matches!(side.ask(122, 1), Acquired::Make(_)));
    }
}
