//! What must hold of a run, looked at as it goes on.

use std::collections::BTreeMap;

use haypile_sync::message::{CheckpointReason, TrySyncReply};

use crate::Place;
use crate::disk::Disk;
use crate::message::StreamId;
use crate::node::{Node, Note, Peer};

/// What was seen, and what must hold of it.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// What each node has acknowledged as durable last, and on which stream.
    acked: BTreeMap<Place, (StreamId, u64)>,
    /// Times that a machine went into its error state, by the kind of error.
    pub failures: BTreeMap<&'static str, u64>,
    /// Checkpoints installed.
    pub installed: u64,
    /// Times that a source said "continue".
    pub continued: u64,
    /// Times that a source said that the log has been collected.
    pub collected: u64,
    /// Times that a source found the logs diverged.
    pub diverged: u64,
    /// Times that a follower needed a checkpoint because it took no more entries.
    pub poisoned: u64,
}

impl Checks {
    /// Something was noted at the node at `at`.
    pub fn note(&mut self, at: Place, note: &Note, nodes: &[Node]) {
        let source = &nodes[at].disk;
        match note {
            Note::Answered {
                follower,
                position,
                reply,
            } => {
                // The answer to a late question says nothing of the follower's present state.
                if let Some(follower) = present(nodes, *follower)
                    && follower.position() == *position
                {
                    self.answered(source, follower, reply);
                }
            }
            Note::Acked {
                follower,
                stream,
                durable,
                applied,
            } => {
                let streams = |node: &Node| {
                    let process = node.process.as_ref()?;
                    (node.peer() == Some(*follower)).then_some(process.follower.streaming() == Some(*stream))
                };
                if streams(&nodes[follower.place]) == Some(true) {
                    let disk = &nodes[follower.place].disk;
                    assert!(
                        *durable <= disk.durable && *applied <= disk.last(),
                        "acknowledged what is not there"
                    );
                    assert!(source.common(disk) >= *applied, "acknowledged other data");
                    self.acked.insert(follower.place, (*stream, *durable));
                }
            }
            Note::Installed => {
                self.installed += 1;
                self.acked.remove(&at);
            }
            Note::Failed(kind) => *self.failures.entry(kind).or_default() += 1,
            Note::Trace(_) => {}
        }
    }

    fn answered(&mut self, source: &Disk, follower: &Disk, reply: &TrySyncReply) {
        let common = source.common(follower);
        let whole = common == follower.last();
        let enough = whole && common + 1 >= source.log_first && !follower.poisoned;
        match reply {
            TrySyncReply::Continue { from, .. } => {
                self.continued += 1;
                assert!(enough && *from == common + 1, "told to continue on other data");
            }
            TrySyncReply::Checkpoint(reason) => {
                assert!(!enough, "the log was enough: {reason:?}");
                self.checkpoint(follower, common, *reason);
            }
            TrySyncReply::Refused(_) => {}
        }
    }

    fn checkpoint(&mut self, follower: &Disk, common: u64, reason: CheckpointReason) {
        let whole = common == follower.last();
        match reason {
            CheckpointReason::Empty => assert_eq!(follower.last(), 0),
            CheckpointReason::LogCollected { .. } => {
                self.collected += 1;
                assert!(whole, "entries would be lost, and nobody was told");
            }
            CheckpointReason::Diverged {
                common: at,
                lost_first,
                lost_last,
            } => {
                self.diverged += 1;
                let told = (at.index, lost_first.index, lost_last.index);
                assert_eq!(told, (common, common + 1, follower.last()), "other entries are lost");
            }
            CheckpointReason::ForeignHistory => assert_eq!(common, 0, "a common past"),
            CheckpointReason::Poisoned => {
                self.poisoned += 1;
                assert!(whole && follower.poisoned, "entries would be lost, and nobody was told");
            }
        }
    }

    /// A node has crashed: what it acknowledged on its last stream must still be there.
    pub fn crashed(&mut self, place: Place, disk: &Disk) {
        if let Some((_, durable)) = self.acked.remove(&place) {
            assert!(
                disk.last() >= durable,
                "lost {durable}, which was acknowledged as durable"
            );
        }
    }
}

fn present(nodes: &[Node], peer: Peer) -> Option<&Disk> {
    let node = &nodes[peer.place];
    (node.peer() == Some(peer)).then_some(&node.disk)
}
