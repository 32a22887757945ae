//! What must never be contradicted in a run of a group.

use std::collections::{BTreeMap, BTreeSet};

use haypile_consensus::{Entry, MEMBERS_TAG, Members};
use haypile_types::Position;

/// What has been seen of a run, and must never be contradicted.
#[derive(Debug, Default)]
pub struct Checks {
    /// Who led each term.
    leaders: BTreeMap<u64, u64>,
    /// For whom each replica was heard to vote, by term.
    votes: BTreeMap<(u64, u64), u64>,
    /// What the group has decided, by index.
    decided: Vec<Entry>,
    /// Who belonged to the group, and since which entry.
    members: Vec<(u64, Members)>,
    /// The clients' writes among it.
    applied: BTreeSet<u64>,
    /// Writes of which clients were told that they were not done.
    refused: BTreeSet<u64>,
    /// Index of the newest write that a client knows of.
    acknowledged: u64,
    /// How many reads were answered.
    pub reads: u64,
    /// How many writes were answered.
    pub writes: u64,
}

/// Which of the clients' writes an entry is; `None` for a leader's own.
fn write_of(entry: &Entry) -> Option<u64> {
    let (tag, rest) = entry.payload.split_first()?;
    let write = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    write.filter(|_| *tag != MEMBERS_TAG)
}

/// Who belongs to the group from this entry on, if it says so.
fn members_of(entry: &Entry) -> Option<Members> {
    let rest = entry.payload.strip_prefix(&[MEMBERS_TAG])?;
    let length = 1 + rest.iter().position(|byte| *byte < 0x80).unwrap_or(0);
    let members = Members::decode(&rest[length..]);
    Some(members.unwrap_or_else(|error| panic!("members are decided that make no sense: {error}")))
}

impl Checks {
    /// Of a group that these found.
    pub(crate) fn new(founding: Members) -> Self {
        Checks {
            members: vec![(0, founding)],
            ..Checks::default()
        }
    }

    pub(crate) fn leads(&mut self, term: u64, replica: u64) {
        let leader = *self.leaders.entry(term).or_insert(replica);
        assert!(leader == replica, "term {term} has two leaders, {leader} and {replica}");
    }

    /// A vote is on a replica's disk.
    pub(crate) fn votes(&mut self, replica: u64, term: u64, vote: u64) {
        if vote != 0 {
            let first = *self.votes.entry((replica, term)).or_insert(vote);
            assert!(
                first == vote,
                "replica {replica} votes for {first} and {vote} in term {term}"
            );
        }
    }

    /// A replica applies an entry, the next one after `applied`.
    pub(crate) fn applies(&mut self, replica: u64, applied: u64, entry: &Entry) {
        let index = entry.position.index;
        assert!(
            index == applied + 1,
            "replica {replica} applies {} after {applied}",
            entry.position
        );
        match self.decided.get(index as usize - 1) {
            Some(decided) => assert!(
                decided == entry,
                "replica {replica} applies {} where {} was decided",
                entry.position,
                decided.position
            ),
            None => {
                assert!(self.decided.len() as u64 == applied, "nothing is left out");
                if let Some(write) = write_of(entry) {
                    assert!(self.applied.insert(write), "the write {write} is applied twice");
                    assert!(
                        !self.refused.contains(&write),
                        "the write {write} is applied, and a client was told that it was not done"
                    );
                }
                self.decided.push(entry.clone());
                if let Some(members) = members_of(entry) {
                    self.members.push((index, members));
                }
            }
        }
    }

    /// The last entry that was decided.
    pub(crate) fn decided(&self) -> Position {
        self.decided.last().map_or(Position::ZERO, |entry| entry.position)
    }

    /// The entry that was decided there.
    pub(crate) fn decided_at(&self, index: u64) -> Position {
        let entry = index.checked_sub(1).and_then(|at| self.decided.get(at as usize));
        entry.map_or(Position::ZERO, |entry| entry.position)
    }

    /// What was decided is on the disks of a majority, and outlives the loss of power everywhere: of the newest members, or of those before,
    /// if nobody needed to know of the newest yet.
    pub(crate) fn is_kept(&self, keeps: impl Fn(u64, Position) -> bool) {
        let decided = self.decided();
        let is_majority = |voters: Vec<u64>| {
            let keep = voters.iter().filter(|voter| keeps(**voter, decided)).count();
            keep * 2 > voters.len() || voters.is_empty()
        };
        let newest = self.members.iter().rev().take(2);
        let mut kept = newest.map(|(_, members)| {
            is_majority(members.voters().collect()) && is_majority(members.voters_before().collect())
        });
        assert!(
            kept.any(|kept| kept),
            "{decided} was decided, and no majority of disks has it: {:?}",
            self.members.last()
        );
    }

    /// Who belonged to the group after this entry.
    pub(crate) fn members_at(&self, index: u64) -> &Members {
        let mut before = self.members.iter().rev().filter(|(at, _)| *at <= index);
        before.next().map_or(&self.members[0].1, |(_, members)| members)
    }

    /// Index of the entry that has changed them last.
    pub(crate) fn changed_at(&self) -> u64 {
        self.members.last().map_or(0, |(index, _)| *index)
    }

    /// The same, for a replica that has to know of it: not before the group has changed at all.
    pub(crate) fn has_members(&self, replica: u64, index: u64, members: &Members) {
        if self.members.get(1).is_some_and(|(at, _)| *at <= index) {
            assert!(
                members == self.members_at(index),
                "replica {replica} has applied {index} and believes in {members:?}"
            );
        }
    }

    /// A client is told that its write is done.
    pub(crate) fn acknowledges(&mut self, position: Position) {
        assert!(
            self.decided_at(position.index) == position,
            "the write {position} is acknowledged and was not decided"
        );
        self.acknowledged = self.acknowledged.max(position.index);
        self.writes += 1;
    }

    /// A client is told that its write was not done: it will do it again.
    pub(crate) fn refuses(&mut self, write: u64) {
        assert!(
            !self.applied.contains(&write),
            "a client is told that the write {write} was not done, and it was applied"
        );
        self.refused.insert(write);
    }

    /// What a read that begins now must see.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// A client is told what it reads, in a state with the entries up to `applied`.
    pub(crate) fn reads(&mut self, replica: u64, applied: u64, acknowledged: u64) {
        assert!(
            applied >= acknowledged,
            "replica {replica} reads at {applied} what was {acknowledged} when the read began"
        );
        self.reads += 1;
    }

    /// How many terms had a leader.
    pub fn terms(&self) -> usize {
        self.leaders.len()
    }
}
