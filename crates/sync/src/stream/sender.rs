use std::collections::VecDeque;

use super::StreamSettings;
use crate::source::Acks;
use crate::{Epoch, EpochHistory, EpochId, Failure, Time};

/// What a stream's sender does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Announce this epoch, then call [`Sender::announced`].
    Announce(Epoch),
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
    /// Send a keepalive with the log's end, then call [`Sender::kept_alive`].
    Keepalive,
    /// Nothing until then, or until the log has grown, an epoch has begun or an ack has come.
    Wait(Time),
    /// The follower is dead: end the stream.
    Dead(Failure),
}

/// The source's end of a stream: what to send when.
#[derive(Clone, Debug)]
pub struct Sender {
    settings: StreamSettings,
    /// The newest epoch that the follower knows.
    epoch: Option<EpochId>,
    /// Index of the next entry to send.
    next: u64,
    /// Sent and not applied: index of a batch's last entry, and its bytes.
    flying: VecDeque<(u64, u64)>,
    flying_bytes: u64,
    acks: Acks,
    sent_at: Time,
    heard: Time,
}

impl Sender {
    /// A stream that starts with the entry at `from`; `history` is what the follower was told in the answer to TrySync.
    pub fn new(settings: StreamSettings, from: u64, history: &EpochHistory, now: Time) -> Self {
        Sender {
            settings,
            epoch: history.current().map(|epoch| epoch.id),
            next: from,
            flying: VecDeque::new(),
            flying_bytes: 0,
            acks: Acks {
                durable: from - 1,
                applied: from - 1,
            },
            sent_at: now,
            heard: now,
        }
    }

    /// What to do now, for a log that ends at `last` and has this history.
    pub fn next(&self, now: Time, last: u64, history: &EpochHistory) -> Next {
        let dead_at = self.heard + self.settings.silence_timeout;
        if dead_at <= now {
            return Next::Dead(Failure::timeout("streaming", now.since(self.heard)));
        }
        let coming = match self.epoch {
            Some(id) => history.after(id).copied(),
            None => history.epochs().first().copied(),
        };
        // An epoch is announced where it begins, and no entry of it goes before that.
        let mut to = last;
        if let Some(epoch) = coming {
            if epoch.first_index <= self.next {
                return Next::Announce(epoch);
            }
            to = to.min(epoch.first_index - 1);
        }
        let room = self
            .settings
            .window_entries
            .saturating_sub(self.next - 1 - self.acks.applied);
        let open = self.flying_bytes < self.settings.window_bytes && room > 0;
        if self.next <= to && open {
            let to = to.min(self.next + room - 1);
            return Next::Read {
                from: self.next,
                to,
                bytes: self.settings.batch_bytes,
            };
        }
        let keepalive_at = self.sent_at + self.settings.keepalive_interval;
        if keepalive_at <= now {
            return Next::Keepalive;
        }
        Next::Wait(keepalive_at.min(dead_at))
    }

    /// The epoch was announced.
    pub fn announced(&mut self, now: Time, epoch: EpochId) {
        self.epoch = Some(epoch);
        self.sent_at = now;
    }

    /// A batch was sent that ends with the entry at `last`.
    pub fn sent(&mut self, now: Time, last: u64, bytes: u64) {
        self.next = last + 1;
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
            return Err(Failure::new(crate::ErrorKind::Protocol, cause));
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
            ..StreamSettings::default()
        }
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn epochs_are_announced_where_they_begin() {
        let start = history(&[(1, 10, 1)]);
        let now_known = history(&[(1, 10, 1), (2, 20, 4), (3, 30, 4)]);
        let mut sender = Sender::new(settings(), 1, &start, at(0));
        assert_eq!(
            sender.next(at(0), 5, &now_known),
            Next::Read {
                from: 1,
                to: 3,
                bytes: 50
            }
        );
        sender.sent(at(0), 3, 30);
        for epoch in &now_known.epochs()[1..] {
            assert_eq!(sender.next(at(0), 5, &now_known), Next::Announce(*epoch));
            sender.announced(at(0), epoch.id);
        }
        assert_eq!(
            sender.next(at(0), 5, &now_known),
            Next::Read {
                from: 4,
                to: 5,
                bytes: 50
            }
        );
    }

    #[test]
    fn the_window_closes_by_bytes_and_by_entries_and_opens_with_acks() {
        let log = history(&[(1, 10, 1)]);
        let mut sender = Sender::new(settings(), 1, &log, at(0));
        sender.sent(at(0), 2, 60);
        sender.sent(at(0), 3, 60);
        assert_eq!(sender.next(at(0), 50, &log), Next::Wait(at(1000)));
        sender.acked(at(5), Acks { durable: 0, applied: 2 }).unwrap();
        assert_eq!(
            sender.next(at(5), 50, &log),
            Next::Read {
                from: 4,
                to: 12,
                bytes: 50
            }
        );
        sender.sent(at(5), 12, 9);
        assert_eq!(sender.next(at(5), 50, &log), Next::Wait(at(1005)));
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
        let mut sender = Sender::new(settings(), 1, &log, at(0));
        assert_eq!(sender.next(at(999), 0, &log), Next::Wait(at(1000)));
        assert_eq!(sender.next(at(1000), 0, &log), Next::Keepalive);
        sender.kept_alive(at(9_500));
        assert_eq!(sender.next(at(9_500), 0, &log), Next::Wait(at(10_000)));
        assert!(matches!(sender.next(at(10_000), 0, &log), Next::Dead(_)));
    }
}
