//! What must never be contradicted in a run of a group.

use std::collections::BTreeMap;

use haypile_consensus::Entry;
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
    /// Index of the newest write that a client knows of.
    acknowledged: u64,
    /// How many reads and writes were answered.
    pub reads: u64,
    /// The same of writes.
    pub writes: u64,
}

impl Checks {
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
                self.decided.push(entry.clone());
            }
        }
    }

    /// A client is told that its write is done.
    pub(crate) fn acknowledges(&mut self, position: Position) {
        let decided = self.decided.get(position.index as usize - 1);
        assert!(
            decided.is_some_and(|entry| entry.position == position),
            "the write {position} is acknowledged and was not decided"
        );
        self.acknowledged = self.acknowledged.max(position.index);
        self.writes += 1;
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
