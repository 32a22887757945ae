//! The source's end of a stream.

use std::collections::VecDeque;

use super::StreamSettings;
use crate::message::Refusal;
use crate::source::{Acks, LogView};
use crate::{Epoch, EpochHistory, EpochId, ErrorKind, Failure, Time};

/// What a stream's sender does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Announce this epoch, then call [`Sender::announced`].
    Announce {
        /// The epoch.
        epoch: Epoch,
        /// The one before it, by which the follower knows that it has missed none.
        after: EpochId,
    },
    /// Read entries `from` to `to`, both included, as many as fit into `bytes` and at least one; send them; call
    /// [`Sender::sent`]. If `from` has been collected, end the stream with `LogCollected`.
    Read {
        /// Index of the first.
        from: u64,
        /// Index of the last.
        to: u64,
        /// Bytes of a batch.
        bytes: u64,
    },
    /// Send a keepalive, then call [`Sender::kept_alive`].
    Keepalive {
        /// Index of the last entry sent so far: the follower sees if it has not got it.
        sent: u64,
    },
    /// Nothing until then, or until the log has grown, an epoch has begun or an ack has come.
    Wait(Time),
    /// End the stream: the follower is dead, or does not fit the log any more.
    End(Failure),
}

/// The source's end of a stream: what to send when.
#[derive(Clone, Debug)]
pub struct Sender {
    settings: StreamSettings,
    /// The newest epoch that the follower knows.
    epoch: EpochId,
    /// Index of the next entry to send.
    next: u64,
    /// Sent and not applied: index of a batch's last entry, and its bytes.
    flying: VecDeque<(u64, u64)>,
    flying_bytes: u64,
    acks: Acks,
    sent_at: Time,
    /// When the next batch may go, unless somebody waits for it.
    batch_at: Time,
    heard: Time,
}

impl Sender {
    /// Opens a stream that starts with the entry at `from`, for a follower whose history ends with `epoch`.
    ///
    /// TrySync said that it can go on there; but meanwhile the source may have got other data or lost the end of its
    /// log, so it is checked again: entry `from - 1` must be here and in that epoch.
    pub fn open(
        settings: StreamSettings,
        log: &LogView,
        from: u64,
        epoch: EpochId,
        now: Time,
    ) -> Result<Sender, Refusal> {
        let end = log.history.end_of_epoch(epoch, log.last);
        if from == 0 || end.is_none_or(|end| from > end + 1) {
            return Err(Refusal::Invalid(format!(
                "entry {from} does not follow what is in epoch {epoch} here"
            )));
        }
        Ok(Sender {
            settings,
            epoch,
            next: from,
            flying: VecDeque::new(),
            flying_bytes: 0,
            acks: Acks {
                durable: from - 1,
                applied: from - 1,
            },
            sent_at: now,
            batch_at: now,
            heard: now,
        })
    }

    /// What to do now, for a log that ends at `last` and has this history. `hurry`: somebody waits for what the follower
    /// says, so that nothing is held back to go with what comes after it.
    pub fn next(&self, now: Time, last: u64, history: &EpochHistory, hurry: bool) -> Next {
        let dead_at = self.heard + self.settings.silence_timeout;
        if dead_at <= now {
            return Next::End(Failure::timeout("streaming", now.since(self.heard)));
        }
        // A source that was promoted and follows again has taken back an epoch that the follower was told. Terms do
        // not show that: the epoch that came instead may have the same.
        if history.end_of_epoch(self.epoch, last).is_none() {
            let cause = format!("epoch {} is not in the source's history any more", self.epoch);
            return Next::End(Failure::new(ErrorKind::OutOfOrder, cause));
        }
        // An epoch is announced where it begins, and no entry of it goes before that.
        let mut to = last;
        if let Some(&epoch) = history.after(self.epoch) {
            if epoch.first_index <= self.next {
                let after = self.epoch;
                return Next::Announce { epoch, after };
            }
            to = to.min(epoch.first_index - 1);
        }
        let room = self
            .settings
            .window_entries
            .saturating_sub(self.next - 1 - self.acks.applied);
        let open = self.flying_bytes < self.settings.window_bytes && room > 0;
        let keepalive_at = self.sent_at + self.settings.keepalive_interval;
        if self.next <= to && open {
            if now < self.batch_at && !hurry {
                return Next::Wait(self.batch_at.min(keepalive_at).min(dead_at));
            }
            let to = to.min(self.next + room - 1);
            return Next::Read {
                from: self.next,
                to,
                bytes: self.settings.batch_bytes,
            };
        }
        if keepalive_at <= now {
            return Next::Keepalive { sent: self.next - 1 };
        }
        Next::Wait(keepalive_at.min(dead_at))
    }

    /// The epoch was announced.
    pub fn announced(&mut self, now: Time, epoch: EpochId) {
        self.epoch = epoch;
        self.sent_at = now;
    }

    /// A batch was sent that ends with the entry at `last`. A full one delays nothing: there is more where it came from.
    pub fn sent(&mut self, now: Time, last: u64, bytes: u64) {
        self.next = last + 1;
        if bytes < self.settings.batch_bytes {
            self.batch_at = now + self.settings.batch_delay;
        }
        self.flying.push_back((last, bytes));
        self.flying_bytes += bytes;
        self.sent_at = now;
    }

    /// A keepalive was sent.
    pub fn kept_alive(&mut self, now: Time) {
        self.sent_at = now;
    }

    /// The follower acknowledged. Fails if it claims entries that were never sent.
    pub fn acked(&mut self, now: Time, acks: Acks) -> Result<(), Failure> {
        if acks.durable.max(acks.applied) >= self.next {
            let cause = format!("it confirmed {acks:?}, and {} is the next to send", self.next);
            return Err(Failure::new(ErrorKind::Protocol, cause));
        }
        self.heard = now;
        self.acks.durable = self.acks.durable.max(acks.durable);
        self.acks.applied = self.acks.applied.max(acks.applied);
        while let Some((last, bytes)) = self.flying.front()
            && *last <= self.acks.applied
        {
            self.flying_bytes -= bytes;
            self.flying.pop_front();
        }
        Ok(())
    }

    /// What the follower has confirmed.
    pub fn acks(&self) -> Acks {
        self.acks
    }

    /// Bytes that are sent and not applied.
    pub fn flying_bytes(&self) -> u64 {
        self.flying_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn history(epochs: &[(u64, u128, u64)]) -> EpochHistory {
        let epoch = |&(term, id, first_index): &(u64, u128, u64)| Epoch {
            term,
            id: EpochId(id),
            first_index,
        };
        EpochHistory::from_epochs(epochs.iter().map(epoch).collect()).unwrap()
    }

    fn settings() -> StreamSettings {
        StreamSettings {
            window_bytes: 100,
            window_entries: 10,
            batch_bytes: 50,
            batch_delay: Duration::ZERO,
            ..StreamSettings::default()
        }
    }

    fn open(history: &EpochHistory) -> Sender {
        let (history, epoch) = (history.clone(), history.current().unwrap().id);
        let log = LogView {
            history,
            first: 1,
            last: 0,
            writer: true,
        };
        Sender::open(settings(), &log, 1, epoch, at(0)).unwrap()
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn epochs_are_announced_where_they_begin() {
        let start = history(&[(1, 10, 1)]);
        let now_known = history(&[(1, 10, 1), (2, 20, 4), (3, 30, 4)]);
        let mut sender = open(&start);
        assert_eq!(
            sender.next(at(0), 5, &now_known, false),
            Next::Read {
                from: 1,
                to: 3,
                bytes: 50
            }
        );
        sender.sent(at(0), 3, 30);
        for pair in now_known.epochs().windows(2) {
            let (after, epoch) = (pair[0].id, pair[1]);
            assert_eq!(
                sender.next(at(0), 5, &now_known, false),
                Next::Announce { epoch, after }
            );
            sender.announced(at(0), epoch.id);
        }
        assert_eq!(
            sender.next(at(0), 5, &now_known, false),
            Next::Read {
                from: 4,
                to: 5,
                bytes: 50
            }
        );
    }

    #[test]
    fn a_stream_is_not_opened_on_other_data_than_trysync_saw() {
        let history = history(&[(1, 10, 1), (2, 20, 91)]);
        let log = LogView {
            history,
            first: 1,
            last: 100,
            writer: false,
        };
        let opens = |from, epoch| Sender::open(settings(), &log, from, EpochId(epoch), at(0)).is_ok();
        assert!(opens(1, 10) && opens(91, 10) && opens(91, 20) && opens(101, 20));
        assert!(!opens(92, 10), "a later entry of that epoch is not here");
        assert!(!opens(102, 20), "the end of the log was lost");
        assert!(!opens(5, 30), "other data");
        assert!(!opens(0, 10));
    }

    #[test]
    fn a_stream_ends_when_its_epoch_was_taken_back() {
        let promoted = history(&[(1, 10, 1), (2, 20, 1)]);
        let follows_again = history(&[(1, 10, 1), (2, 30, 1)]);
        assert!(matches!(
            open(&promoted).next(at(0), 5, &follows_again, false),
            Next::End(_)
        ));
    }

    #[test]
    fn the_window_closes_by_bytes_and_by_entries_and_opens_with_acks() {
        let log = history(&[(1, 10, 1)]);
        let mut sender = open(&log);
        sender.sent(at(0), 2, 60);
        sender.sent(at(0), 3, 60);
        assert_eq!(sender.next(at(0), 50, &log, false), Next::Wait(at(1000)));
        sender.acked(at(5), Acks { durable: 0, applied: 2 }).unwrap();
        assert_eq!(
            sender.next(at(5), 50, &log, false),
            Next::Read {
                from: 4,
                to: 12,
                bytes: 50
            }
        );
        sender.sent(at(5), 12, 9);
        assert_eq!(sender.next(at(5), 50, &log, false), Next::Wait(at(1005)));
        assert!(
            sender
                .acked(
                    at(5),
                    Acks {
                        durable: 0,
                        applied: 13
                    }
                )
                .is_err()
        );
        sender
            .acked(
                at(5),
                Acks {
                    durable: 0,
                    applied: 12,
                },
            )
            .unwrap();
        assert_eq!(sender.flying_bytes(), 0);
    }

    #[test]
    fn silence_is_broken_by_keepalives_and_ends_the_stream() {
        let log = history(&[(1, 10, 1)]);
        let mut sender = open(&log);
        assert_eq!(sender.next(at(999), 0, &log, false), Next::Wait(at(1000)));
        assert_eq!(sender.next(at(1000), 0, &log, false), Next::Keepalive { sent: 0 });
        sender.kept_alive(at(9_500));
        assert_eq!(sender.next(at(9_500), 0, &log, false), Next::Wait(at(10_000)));
        assert!(matches!(sender.next(at(10_000), 0, &log, false), Next::End(_)));
    }

    #[test]
    fn batches_keep_a_distance_unless_they_are_full_or_somebody_waits() {
        let log = history(&[(1, 10, 1)]);
        let mut sender = open(&log);
        sender.settings.batch_delay = Duration::from_millis(2);
        let read = |from| Next::Read { from, to: 9, bytes: 50 };
        assert_eq!(sender.next(at(100), 9, &log, false), read(1), "the first goes at once");
        sender.sent(at(100), 2, 10);
        assert_eq!(sender.next(at(101), 9, &log, false), Next::Wait(at(102)));
        assert_eq!(sender.next(at(101), 9, &log, true), read(3));
        assert_eq!(sender.next(at(102), 9, &log, false), read(3));
        sender.sent(at(200), 4, 50);
        assert_eq!(sender.next(at(200), 9, &log, false), read(5));
    }
}
