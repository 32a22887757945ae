//! How the keyspace events of one command are logged.

use std::ops::Range;

use crate::effects::{self, NEW, TAG_NEW, TAG_OWN, WrittenTag};
use crate::keys;

/// How the keyspace events of one command are logged: see [`crate::effects`]. Places are those in the turn's buffer.
pub(crate) struct Telling {
    tag: WrittenTag,
    db: u16,
    own: Option<u8>,
    /// What the tag says already.
    bits: u8,
    /// There are events behind the tag: those that follow cannot be told by it any more.
    behind: bool,
    /// Key of the last row put or deleted.
    row: Option<Range<usize>>,
}

impl Telling {
    pub(crate) fn new(tag: WrittenTag, db: u16, own: Option<u8>) -> Self {
        Telling {
            tag,
            db,
            own,
            bits: 0,
            behind: false,
            row: None,
        }
    }

    /// A row was put or deleted; its key stands there.
    pub(crate) fn row(&mut self, key: Range<usize>) {
        self.row = Some(key);
    }

    /// Logs an event, in as few bytes as it can.
    pub(crate) fn event(&mut self, ops: &mut Vec<u8>, event: u8, db: u16, key: &[u8]) {
        if db == self.db {
            let bit = match event {
                NEW if self.bits == 0 => TAG_NEW,
                own if self.own == Some(own) && self.bits & TAG_OWN == 0 => TAG_OWN,
                _ => 0,
            };
            if bit != 0 && !self.behind && ops[self.tag.key.clone()] == *key {
                effects::mark_tag(ops, self.tag.at, bit);
                self.bits |= bit;
                return;
            }
            let row = self.row.as_ref().map(|row| keys::user_key(&ops[row.clone()]));
            if row == Some(key) {
                self.behind = true;
                return effects::write_event_of_row(ops, event);
            }
        }
        self.behind = true;
        effects::write_event(ops, event, db, key);
    }
}
