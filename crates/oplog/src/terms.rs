//! Which terms the log's entries have.

use haypile_types::Position;

use crate::cursor::{Cursor, Step};
use crate::error::OplogError;
use crate::log::Oplog;

impl Oplog {
    /// The entry before the first in the log, and then the first entry of each later term. Only segments in which a term begins
    /// are read.
    ///
    /// # Errors
    /// `Corrupt` or `Io`, of one of these.
    pub fn terms(&self) -> Result<Vec<Position>, OplogError> {
        let segments: Vec<_> = self.shared.segments.lock().iter().cloned().collect();
        let mut terms = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let before = Position::new(segment.header.previous_term, segment.first_index() - 1);
            if at == 0 {
                terms.push(before);
            }
            let end = segments.get(at + 1);
            let last_term = end.map_or(self.written.term, |next| next.header.previous_term);
            if last_term == before.term {
                continue;
            }
            let last_index = end.map_or(self.written.index, |next| next.first_index() - 1);
            let mut cursor = Cursor::at_start(segment);
            let mut term = before.term;
            while cursor.index <= last_index {
                match cursor.step(segment, segment.end()) {
                    Ok(Step::Entry(header, _)) => {
                        if header.position.term != term {
                            term = header.position.term;
                            terms.push(header.position);
                        }
                    }
                    Ok(Step::Bad(bad)) => return Err(segment.corrupt(cursor.offset, cursor.index, bad)),
                    Err(error) => return Err(OplogError::io("read", &segment.path, error)),
                }
            }
        }
        Ok(terms)
    }
}
