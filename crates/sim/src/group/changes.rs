//! Changes of a group's members, by chance: learners come and go, are promoted, and voters are removed, also who leads.

use haypile_consensus::{Members, Role};
use haypile_types::Random;

use crate::group::node::Node;
use crate::group::world::{Event, GroupWorld};

/// Most members of a group in a run.
const MEMBERS_MAX: usize = 6;
/// How many replicas a run may have had in all.
const REPLICAS_MAX: usize = 12;
/// A learner that has this many entries less than its leader may begin to vote.
const LAG_MAX: u64 = 200;

impl GroupWorld {
    /// Whoever leads has its group changed, or ends a change.
    pub(crate) fn changes(&mut self) {
        let span = self.about(self.faults.change_every_us);
        self.after(span, Event::Changes);
        let Some(at) = self.leader().filter(|at| !self.is_stopped(*at)) else {
            return;
        };
        let Some(process) = &self.nodes[at].process else { return };
        if process.serving == 0 || process.group.is_changing() {
            return;
        }
        let members = process.group.members().clone();
        let changed = match members.is_joint() {
            true => members.left().ok(),
            // What is begun is ended.
            false if self.calm => None,
            false => self.change(at, &members),
        };
        if let Some(changed) = changed {
            self.propose_members(at, &changed);
        }
    }

    fn propose_members(&mut self, at: usize, members: &Members) {
        // The writer has nothing under way that it does not know of.
        self.drive(at);
        let now_us = self.nodes[at].clock.at(self.now_us);
        let Some(process) = self.nodes[at].process.as_mut().filter(|process| process.serving > 0) else {
            return;
        };
        if process.group.propose_members(now_us, now_us, members).is_ok() {
            let what = match (members.is_joint(), process.group.members().is_joint()) {
                (true, _) => "changes of voters begun",
                (_, true) => "changes of voters ended",
                _ => "changes of learners",
            };
            self.counted(what);
            self.drive(at);
        }
        self.after_event(at);
    }

    fn change(&mut self, at: usize, members: &Members) -> Option<Members> {
        let leader = self.nodes[at].replica;
        let voters: Vec<u64> = members.voters().collect();
        let learners: Vec<u64> = members.iter().map(|member| member.number).collect();
        let learners: Vec<u64> = learners.into_iter().filter(|member| !voters.contains(member)).collect();
        let voter = voters[self.rng.below(voters.len() as u64) as usize];
        let learner = match learners.len() as u64 {
            0 => None,
            count => Some(learners[self.rng.below(count) as usize]),
        };
        let is_even = |learner: u64| {
            let group = self.nodes[at].process.as_ref().map(|process| &process.group);
            group
                .and_then(|group| group.lag_of(learner))
                .is_some_and(|lag| lag < LAG_MAX)
        };
        let removed: &[u64] = match voters.len() > 1 && (voters.len() > 4 || self.rng.chance(400)) {
            true => &[voter],
            false => &[],
        };
        match learner {
            _ if removed == [leader] && self.rng.chance(500) => {
                self.hand_over(at);
                None
            }
            // Now and then one that is far behind.
            Some(learner) if is_even(learner) || self.rng.chance(50) => members.joint(&[learner], removed).ok(),
            Some(learner) if self.rng.chance(100) => members.without_learner(learner).ok(),
            None if self.rng.chance(150) && voters.len() > 2 => {
                members.joint(&[], removed).ok().filter(|_| !removed.is_empty())
            }
            None if self.rng.chance(50) => members.met(7, &[(voter, u128::from(voter))]).ok(),
            None if members.iter().count() < MEMBERS_MAX && self.nodes.len() < REPLICAS_MAX => {
                self.add_learner(members)
            }
            _ => None,
        }
    }

    fn hand_over(&mut self, at: usize) {
        let now_us = self.nodes[at].clock.at(self.now_us);
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        if let Some(successor) = process.group.successor() {
            process.group.transfer(now_us, successor);
            self.counted("transfers");
            self.after_event(at);
        }
    }

    /// Somebody new, who has nothing, and believes what it was told by who has started it.
    fn add_learner(&mut self, members: &Members) -> Option<Members> {
        let number = members.next_number();
        if self.nodes.len() < number as usize {
            let known = members.iter().map(|member| member.number).chain([number]);
            let founding = Members::founding(known.map(|number| (number, format!("{number}:1"))));
            let clock = self.boot();
            self.nodes.push(Node::new(number, founding, clock, self.faults.mutant));
            self.start(number as usize - 1);
        }
        members
            .with_learner(number, u128::from(number), format!("{number}:1"))
            .ok()
    }

    /// True if this replica belongs to the group by what was decided.
    pub(crate) fn is_member(&self, replica: u64) -> bool {
        self.checks.members_at(u64::MAX).get(replica).is_some()
    }

    /// Who has been removed is not told so: its machine is taken away some time.
    pub(crate) fn take_away(&mut self) {
        // Not before a majority of the others knows for good that it has gone: until then its vote may be needed.
        let (changed_at, members) = (self.checks.changed_at(), self.checks.members_at(u64::MAX));
        let knows = |voter: &u64| self.nodes[*voter as usize - 1].disk.borrow().known_committed() >= changed_at;
        if members.voters().filter(knows).count() * 2 <= members.voters().count() {
            return;
        }
        let gone = self.nodes.iter().position(|node| {
            let leads = |process: &crate::group::node::Process| matches!(process.group.role(), Role::Leader { .. });
            // And who has just come is no member yet.
            let has_been = node.replica < self.checks.members_at(u64::MAX).next_number();
            has_been && !self.is_member(node.replica) && node.process.as_ref().is_some_and(|process| !leads(process))
        });
        if let Some(at) = gone {
            self.counted("machines taken away");
            self.close(at, true);
            self.nodes[at].installing = None;
            self.nodes[at].is_gone = true;
        }
    }
}
