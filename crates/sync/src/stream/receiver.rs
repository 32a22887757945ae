//! The follower's end of a stream.

use std::time::Duration;

use haypile_types::Position;

use super::StreamSettings;
use crate::source::Acks;
use crate::{Epoch, EpochHistory, EpochId, ErrorKind, Failure, Time};

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it without its first `skip` entries, which are here already.
    Append {
        /// Entries to leave out.
        skip: u64,
    },
    /// All of it is here already.
    Ignore,
}

/// How far a follower is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Entries that the source has and our readers do not see.
    pub entries: u64,
    /// Bytes of log that the source has and has not heard of as applied.
    pub bytes: u64,
    /// How long ago the source wrote what our readers see last, if they do not see all; measured with the source's
    /// clock alone.
    pub time: Duration,
}

/// The follower's end of a stream: what to take, what to acknowledge.
#[derive(Clone, Debug)]
pub struct Receiver {
    settings: StreamSettings,
    history: EpochHistory,
    /// Index of the log's last entry, appended or about to be.
    last: u64,
    acks: Acks,
    acked: Option<Acks>,
    ack_wanted: bool,
    acked_at: Time,
    source: SourceEnd,
}

/// What the source last said of itself.
#[derive(Clone, Copy, Debug)]
struct SourceEnd {
    last: u64,
    unsent_bytes: u64,
    clock_ms: u64,
    at: Time,
}

impl Receiver {
    /// A stream that starts with the entry at `from`, with the history that was made the partition's own.
    pub fn new(settings: StreamSettings, from: u64, history: EpochHistory, acks: Acks, now: Time) -> Self {
        let last = from - 1;
        let source = SourceEnd {
            last,
            unsent_bytes: 0,
            clock_ms: 0,
            at: now,
        };
        let ack_wanted = true;
        Receiver {
            settings,
            history,
            last,
            acks,
            acked: None,
            ack_wanted,
            acked_at: now,
            source,
        }
    }

    /// A batch of entries from `first` to `last`, both included, has come. Entries that are here already are no fault; a
    /// gap, a term that is not the one of its epoch, or an empty batch is.
    pub fn batch(&self, first: Position, last: Position) -> Result<Verdict, Failure> {
        if last.index < first.index {
            return Err(Failure::new(
                ErrorKind::Protocol,
                format!("a batch from {first} to {last}"),
            ));
        }
        if first.index > self.last + 1 {
            return Err(out_of_order(format!("{first} after {}", self.last)));
        }
        if last.index <= self.last {
            return Ok(Verdict::Ignore);
        }
        for position in [first, last] {
            if position.index > self.last && self.history.position_of(position.index) != Some(position) {
                return Err(out_of_order(format!(
                    "{position} belongs to no epoch that was announced"
                )));
            }
        }
        Ok(Verdict::Append {
            skip: self.last + 1 - first.index,
        })
    }

    /// A keepalive has come from a source that has sent entries up to `sent`. Fails if some of them did not come: the
    /// source may have no room left in its window to send anything that would show the gap.
    pub fn keepalive(&self, sent: u64) -> Result<(), Failure> {
        if sent > self.last {
            return Err(out_of_order(format!(
                "{sent} was sent, and {} is the last that came",
                self.last
            )));
        }
        Ok(())
    }

    /// The batch that ends at `last` is appended.
    pub fn appended(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// An epoch is announced that comes after the one with the id `after`. Returns the history to make durable before anything else is appended; `None` = it is known.
    pub fn epoch(&mut self, epoch: Epoch, after: EpochId) -> Result<Option<&EpochHistory>, Failure> {
        if self.history.current() == Some(&epoch) {
            return Ok(None);
        }
        if self.history.current().is_none_or(|current| current.id != after) {
            return Err(out_of_order(format!(
                "epoch {epoch} comes after {after}, which is not the current one"
            )));
        }
        self.history
            .announce(epoch, self.last)
            .map_err(|error| out_of_order(error.to_string()))?;
        Ok(Some(&self.history))
    }

    /// What each message of the source says: where its log ends, how many bytes of it are not sent or not acknowledged yet, and its
    /// clock, in milliseconds.
    pub fn source_end(&mut self, now: Time, last: u64, unsent_bytes: u64, clock_ms: u64) {
        self.source = SourceEnd {
            last,
            unsent_bytes,
            clock_ms,
            at: now,
        };
    }

    /// The source wants an acknowledgement at once, because somebody waits for it.
    pub fn ack_wanted(&mut self) {
        self.ack_wanted = true;
    }

    /// The log is durable up to `durable`, and readers see the entries up to `applied`.
    pub fn progress(&mut self, durable: u64, applied: u64) {
        self.acks = Acks { durable, applied };
    }

    /// An acknowledgement to send now: something has moved, was asked for, or it is time for a sign of life. Call it
    /// when the last one has been written, then several moves become one acknowledgement.
    pub fn ack(&mut self, now: Time) -> Option<Acks> {
        let acks = Acks {
            durable: self.acks.durable.min(self.last),
            applied: self.acks.applied.min(self.last),
        };
        if self.acked == Some(acks) && !self.ack_wanted && now < self.ack_at() {
            return None;
        }
        (self.acked, self.ack_wanted, self.acked_at) = (Some(acks), false, now);
        Some(acks)
    }

    /// When to ask for an acknowledgement at the latest.
    pub fn ack_at(&self) -> Time {
        self.acked_at + self.settings.keepalive_interval
    }

    /// How far we are behind; `applied_clock_ms` is the source's clock in the last applied entry.
    pub fn lag(&self, now: Time, applied_clock_ms: u64) -> Lag {
        let entries = self.source.last.saturating_sub(self.acks.applied);
        let age = Duration::from_millis(self.source.clock_ms.saturating_sub(applied_clock_ms));
        if entries == 0 {
            return Lag::default();
        }
        Lag {
            entries,
            bytes: self.source.unsent_bytes,
            time: age + now.since(self.source.at),
        }
    }

    /// Index of the log's last entry.
    pub fn last(&self) -> u64 {
        self.last
    }
}

fn out_of_order(cause: String) -> Failure {
    Failure::new(ErrorKind::OutOfOrder, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver() -> Receiver {
        let mut history = EpochHistory::new();
        history.begin(EpochId(10), 0);
        let acks = Acks { durable: 5, applied: 5 };
        Receiver::new(StreamSettings::default(), 6, history, acks, Time::default())
    }

    fn batch(receiver: &Receiver, term: u64, first: u64, last: u64) -> Result<Verdict, ErrorKind> {
        let positions = (Position::new(term, first), Position::new(term, last));
        receiver.batch(positions.0, positions.1).map_err(|failure| failure.kind)
    }

    #[test]
    fn duplicates_are_left_out_and_gaps_are_errors() {
        let mut receiver = receiver();
        assert_eq!(batch(&receiver, 1, 6, 9), Ok(Verdict::Append { skip: 0 }));
        receiver.appended(9);
        assert_eq!(batch(&receiver, 1, 6, 9), Ok(Verdict::Ignore));
        assert_eq!(batch(&receiver, 1, 8, 12), Ok(Verdict::Append { skip: 2 }));
        assert_eq!(batch(&receiver, 1, 11, 12), Err(ErrorKind::OutOfOrder));
        assert_eq!(batch(&receiver, 1, 11, 10), Err(ErrorKind::Protocol));
        assert_eq!(batch(&receiver, 2, 10, 11), Err(ErrorKind::OutOfOrder));
        assert!(receiver.keepalive(9).is_ok());
        assert_eq!(receiver.keepalive(10).unwrap_err().kind, ErrorKind::OutOfOrder);
    }

    #[test]
    fn an_epoch_comes_before_its_entries() {
        let mut receiver = receiver();
        let epoch = Epoch {
            term: 2,
            id: EpochId(20),
            first_index: 6,
        };
        assert_eq!(receiver.epoch(epoch, EpochId(10)).unwrap().unwrap().epochs().len(), 2);
        assert_eq!(receiver.epoch(epoch, EpochId(10)).unwrap(), None);
        assert_eq!(batch(&receiver, 1, 6, 7), Err(ErrorKind::OutOfOrder));
        assert_eq!(batch(&receiver, 2, 6, 7), Ok(Verdict::Append { skip: 0 }));
        let next = Epoch {
            term: 3,
            id: EpochId(30),
            first_index: 6,
        };
        assert_eq!(
            receiver.epoch(next, EpochId(15)).unwrap_err().kind,
            ErrorKind::OutOfOrder
        );
        let late = Epoch {
            term: 3,
            id: EpochId(30),
            first_index: 9,
        };
        assert_eq!(
            receiver.epoch(late, EpochId(20)).unwrap_err().kind,
            ErrorKind::OutOfOrder
        );
    }

    #[test]
    fn acks_are_sent_when_something_moves_and_now_and_then() {
        let mut receiver = receiver();
        let at = Time::from_millis;
        assert_eq!(receiver.ack(at(0)), Some(Acks { durable: 5, applied: 5 }));
        assert_eq!(receiver.ack(at(1)), None);
        receiver.appended(7);
        receiver.progress(5, 7);
        assert_eq!(receiver.ack(at(2)), Some(Acks { durable: 5, applied: 7 }));
        receiver.ack_wanted();
        assert_eq!(receiver.ack(at(3)), Some(Acks { durable: 5, applied: 7 }));
        assert_eq!(receiver.ack(at(1002)), None);
        assert!(receiver.ack(at(1003)).is_some());
    }

    #[test]
    fn lag_is_measured_with_the_clock_of_the_source() {
        let mut receiver = receiver();
        let at = Time::from_millis;
        receiver.source_end(at(100), 8, 300, 50_000);
        let lag = Lag {
            entries: 3,
            bytes: 300,
            time: Duration::from_millis(2_010),
        };
        assert_eq!(receiver.lag(at(110), 48_000), lag);
        receiver.appended(8);
        receiver.progress(8, 8);
        receiver.source_end(at(120), 8, 0, 50_020);
        assert_eq!(receiver.lag(at(5000), 48_000), Lag::default());
    }
}
