//! What a leader may rely on, and what a follower has promised.
//!
//! A leader's messages carry the time at which they were made, and answers carry the latest that was heard. Who hears of a leader
//! votes for nobody else for [`Settings::promise_us`], by its own clock, from then on; it was said before it was heard, so at the
//! leader the promise is good for as long from when it was said, less what the clocks may differ in speed. When a quorum has
//! promised, every quorum that could elect another leader has one of them in it.
//!
//! The promise outlives a restart because who has just started makes it to whoever there is ([`Promise::at_start`]): it may
//! have promised and forgotten it (tikv/tikv#15035). It does not bind when the leader itself hands over, which is why such a
//! leader relies on its lease no more in this term ([`Lease::suspend`]).

use crate::members::Members;
use crate::message::ReplicaNumber;
use crate::settings::Settings;

/// What a leader knows of its followers' promises.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// Of each follower the latest of this leader's messages that it has heard.
    heard: Vec<(ReplicaNumber, u64)>,
    suspended: bool,
}

impl Lease {
    /// A follower has heard what was said at `round_us`.
    pub(crate) fn heard(&mut self, replica: ReplicaNumber, round_us: u64) {
        match self.heard.iter_mut().find(|(other, _)| *other == replica) {
            Some((_, latest)) => *latest = round_us.max(*latest),
            None => self.heard.push((replica, round_us)),
        }
    }

    /// Until when nobody else can lead; 0 if that is not known.
    pub(crate) fn until_us(&self, settings: &Settings, members: &Members) -> u64 {
        match self.suspended {
            true => 0,
            false => match self.confirmed_us(settings.replica, members) {
                0 => 0,
                round_us => round_us.saturating_add(settings.lease_us()),
            },
        }
    }

    /// When this leader said the latest that a quorum has answered, in each of two configurations if a change is under way: nobody else had
    /// been elected when that was heard. 0 if that is not known.
    pub(crate) fn confirmed_us(&self, replica: ReplicaNumber, members: &Members) -> u64 {
        let said = |voter: ReplicaNumber| match voter == replica {
            // Itself, always.
            true => u64::MAX,
            false => self
                .heard
                .iter()
                .find(|(other, _)| *other == voter)
                .map_or(0, |(_, latest)| *latest),
        };
        let of_quorum = |voters: &mut dyn Iterator<Item = ReplicaNumber>| {
            let mut times: Vec<u64> = voters.map(said).collect();
            times.sort_unstable_by(|a, b| b.cmp(a));
            // The oldest of the quorum that has heard the latest.
            times.get(times.len() / 2).copied()
        };
        let (new, old) = (
            of_quorum(&mut members.voters()),
            of_quorum(&mut members.voters_before()),
        );
        new.unwrap_or(0).min(old.unwrap_or(u64::MAX))
    }

    /// Is not to be relied upon any more in this term: somebody was asked to take over.
    pub(crate) fn suspend(&mut self) {
        self.suspended = true;
    }
}

/// What this replica has promised as a follower.
#[derive(Debug)]
pub(crate) struct Promise {
    until_us: u64,
    /// The term of the leader that was heard last, and when it said what was heard.
    heard: (u64, u64),
}

impl Promise {
    /// Whatever was promised before the start is kept. Also by who seems to be alone: whoever asks him for a vote knows better.
    pub(crate) fn at_start(now_us: u64, settings: &Settings) -> Self {
        let until_us = now_us + settings.promise_us;
        Promise {
            until_us,
            heard: (0, 0),
        }
    }

    /// A leader was heard of.
    pub(crate) fn renew(&mut self, now_us: u64, settings: &Settings, term: u64, round_us: u64) {
        self.until_us = self.until_us.max(now_us + settings.promise_us);
        self.heard = self.heard.max((term, round_us));
    }

    /// Until when this replica votes for nobody else and does not campaign.
    pub(crate) fn until_us(&self) -> u64 {
        self.until_us
    }

    /// What to answer a leader of this term.
    pub(crate) fn round_us(&self, term: u64) -> u64 {
        if self.heard.0 == term { self.heard.1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(replica: u64) -> Settings {
        Settings {
            promise_us: 1_000,
            drift_ppm: 0,
            ..Settings::new(replica)
        }
    }

    fn members(voters: u64) -> Members {
        Members::founding((1..=voters).map(|number| (number, format!("{number}:1"))))
    }

    #[test]
    fn a_lease_is_as_old_as_its_quorum() {
        let (five, voters) = (settings(1), members(5));
        let mut lease = Lease::default();
        assert_eq!(lease.until_us(&five, &voters), 0);
        lease.heard(2, 100);
        assert_eq!(lease.until_us(&five, &voters), 0, "two of five");
        lease.heard(3, 50);
        assert_eq!(lease.until_us(&five, &voters), 1_050);
        lease.heard(4, 80);
        assert_eq!(lease.until_us(&five, &voters), 1_080);
        lease.heard(4, 70);
        assert_eq!(
            lease.until_us(&five, &voters),
            1_080,
            "an answer that comes late takes nothing back"
        );
        lease.heard(9, 5_000);
        assert_eq!(
            lease.until_us(&five, &voters),
            1_080,
            "who does not vote does not count"
        );
        lease.suspend();
        assert_eq!(lease.until_us(&five, &voters), 0);
    }

    #[test]
    fn who_is_alone_needs_nobody() {
        let (alone, one) = (settings(1), members(1));
        assert_eq!(Lease::default().until_us(&alone, &one), u64::MAX);
    }

    #[test]
    fn a_lease_ends_before_the_promise_whatever_the_clocks_do() {
        let settings = Settings::new(1);
        // The leader's clock is as slow, and the follower's as fast, as it may be.
        let leaders = settings.lease_us() as f64 / (1.0 - settings.drift_ppm as f64 / 1e6);
        let followers = settings.promise_us as f64 / (1.0 + settings.drift_ppm as f64 / 1e6);
        assert!(leaders < followers, "{leaders} {followers}");
    }

    #[test]
    fn a_promise_is_never_shortened_and_answers_its_own_term() {
        let settings = settings(2);
        let mut promise = Promise::at_start(100, &settings);
        assert_eq!(promise.until_us(), 1_100);
        promise.renew(200, &settings, 4, 77);
        assert_eq!(promise.until_us(), 1_200);
        assert_eq!((promise.round_us(4), promise.round_us(5)), (77, 0));
        promise.renew(150, &settings, 4, 60);
        assert_eq!(promise.until_us(), 1_200);
        assert_eq!(promise.round_us(4), 77);
    }
}
