//! When a replica that does not lead campaigns.

use haypile_types::Random;

use crate::settings::Settings;

/// How much a follower that has lost its connection to the leader waits beyond its promise, at most: so that not all of them
/// campaign at once.
const LOST_SPREAD_US: u64 = 50_000;

/// The next campaign. Times are random, from the seed that was given, so that candidates do not meet again and again.
pub(crate) struct Election {
    at_us: u64,
    random: Box<dyn Random>,
}

impl Election {
    /// For a replica that has just started: soon, because there may be no leader, but not before its promise ends.
    pub(crate) fn at_start(
        promised_until_us: u64,
        settings: &Settings,
        is_alone: bool,
        mut random: Box<dyn Random>,
    ) -> Self {
        let spread = match is_alone {
            true => 0,
            false => random.below(settings.retry_us),
        };
        Election {
            at_us: promised_until_us + spread,
            random,
        }
    }

    /// A leader was heard of, or another candidate was given a vote.
    pub(crate) fn put_off(&mut self, now_us: u64, settings: &Settings) {
        self.at_us = now_us + settings.election_us + self.random.below(settings.election_us);
    }

    /// The connection to the leader is gone. It may be alive: what was promised is kept, and nothing else is waited for.
    pub(crate) fn leader_lost(&mut self, now_us: u64, promised_until_us: u64) {
        let soon = now_us.max(promised_until_us) + self.random.below(LOST_SPREAD_US);
        self.at_us = self.at_us.min(soon);
    }

    /// Has campaigned, or somebody else is about to.
    pub(crate) fn begun(&mut self, now_us: u64, settings: &Settings) {
        self.at_us = now_us + settings.retry_us + self.random.below(settings.retry_us);
    }

    /// When to campaign.
    pub(crate) fn at_us(&self) -> u64 {
        self.at_us
    }
}
