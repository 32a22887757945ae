//! Messages of pub/sub on their way: both ends' queues.
//!
//! A message says after which entry it is to be delivered. The source sends it before the entries that come later, at the
//! latest together with the batch that has its entry; the follower keeps it until that entry is visible. So the order
//! among entries and messages is that of the source, and batches need not be cut at messages.
//!
//! Nobody waits for a message: what does not fit into the source's queue, because the follower is slow, is dropped, and
//! a stream that ends takes its queue with it.

use std::collections::VecDeque;

use crate::message::Message;
use crate::{ErrorKind, Failure};

/// Bytes that a message takes in a queue besides its channel and payload.
const OVERHEAD_BYTES: u64 = 64;
/// Channel and payload of a message that fits into a frame, with room for what else is in it.
const MESSAGE_BYTES_MAX: u64 = crate::wire::MESSAGE_BYTES_MAX as u64 - (64 << 10);

/// Bytes that a message takes.
fn size(message: &Message) -> u64 {
    (message.channel.len() + message.payload.len()) as u64 + OVERHEAD_BYTES
}

/// Where a message stands among the events.
fn place(message: &Message) -> (u64, u64) {
    (message.after, message.within.unwrap_or(u64::MAX))
}

/// The source's queue: messages that wait for their turn on a stream.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Message>,
    bytes: u64,
}

impl Outbox {
    /// Adds a message, unless more than `bytes_max` bytes would wait then, or no frame could carry it; says whether it
    /// did. A message never goes before one that was added earlier.
    pub fn push(&mut self, mut message: Message, bytes_max: u64) -> bool {
        let size = size(&message);
        if self.bytes + size > bytes_max || size > MESSAGE_BYTES_MAX {
            return false;
        }
        if let Some(last) = self.queue.back()
            && place(&message) < place(last)
        {
            (message.after, message.within) = (last.after, last.within);
        }
        self.bytes += size;
        self.queue.push_back(message);
        true
    }

    /// The next frame's messages: those that are to be delivered after the entry `through` or an earlier one, as many as
    /// fit into `bytes` and at least one. Empty if there is none.
    pub fn take(&mut self, through: u64, bytes: u64) -> Vec<Message> {
        let mut taken = Vec::new();
        let mut left = bytes;
        while let Some(message) = self.queue.front().filter(|message| message.after <= through) {
            let size = size(message);
            if size > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(size);
            self.bytes -= size;
            taken.extend(self.queue.pop_front());
        }
        taken
    }

    /// Forgets messages that are to be delivered after the entry `from` or a later one: there is no such entry after all.
    pub fn take_back(&mut self, from: u64) {
        let kept = self.queue.partition_point(|message| message.after < from);
        self.bytes -= self.queue.drain(kept..).map(|message| size(&message)).sum::<u64>();
    }

    /// True if [`Outbox::take`] would give something.
    pub fn has(&self, through: u64) -> bool {
        self.queue.front().is_some_and(|message| message.after <= through)
    }
}

/// The follower's queue: messages whose entries are on their way.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    queue: VecDeque<Message>,
    bytes: u64,
}

/// Bytes that may wait for their entries: a source sends no more than a frame of messages that can be so large ahead.
const INBOX_BYTES_MAX: u64 = 2 * crate::wire::MESSAGE_BYTES_MAX as u64;

impl Inbox {
    /// Messages have come. Fails if they go back behind earlier ones, or if the source sends too far ahead.
    pub fn put(&mut self, messages: Vec<Message>) -> Result<(), Failure> {
        for message in messages {
            if let Some(last) = self.queue.back()
                && place(&message) < place(last)
            {
                let cause = format!(
                    "a message after entry {} follows one after {}",
                    message.after, last.after
                );
                return Err(Failure::new(ErrorKind::Protocol, cause));
            }
            self.bytes += size(&message);
            self.queue.push_back(message);
        }
        Ok(())
    }

    /// Those that are to be delivered once the entry at `last` is visible.
    pub fn take(&mut self, last: u64) -> Vec<Message> {
        let ready = self.queue.partition_point(|message| message.after <= last);
        let taken: Vec<_> = self.queue.drain(..ready).collect();
        self.bytes -= taken.iter().map(size).sum::<u64>();
        taken
    }

    /// To be asked when what could be delivered has been taken: fails if the source sends messages and not the entries
    /// that they wait for.
    pub fn check(&self) -> Result<(), Failure> {
        match self.bytes > INBOX_BYTES_MAX {
            true => Err(Failure::new(
                ErrorKind::Protocol,
                format!("{} bytes of messages wait for entries that do not come", self.bytes),
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(after: u64, payload: &'static str) -> Message {
        Message {
            after,
            sharded: false,
            channel: "c".into(),
            payload: payload.into(),
            within: None,
        }
    }

    fn payloads(messages: &[Message]) -> Vec<&[u8]> {
        messages.iter().map(|message| &message.payload[..]).collect()
    }

    #[test]
    fn messages_keep_their_order_and_wait_for_their_entries() {
        let mut outbox = Outbox::default();
        for (after, payload) in [(3, "a"), (2, "b"), (5, "c")] {
            assert!(outbox.push(message(after, payload), 1000));
        }
        assert!(!outbox.has(2) && outbox.take(2, 1000).is_empty());
        let taken = outbox.take(4, 1000);
        assert_eq!(payloads(&taken), [b"a", b"b"]);
        assert_eq!(taken[1].after, 3, "not before the one that came earlier");
        let within = |bytes| Message {
            within: Some(bytes),
            ..message(5, "a")
        };
        assert!(outbox.push(within(7), 1000));
        let taken_later = outbox.take(9, 1000);
        assert_eq!(payloads(&taken_later), [b"c", b"a"]);
        assert_eq!(taken_later[1].within, None, "not before the one that came earlier");
        assert!(!outbox.has(u64::MAX));

        let mut inbox = Inbox::default();
        inbox.put(taken).unwrap();
        inbox.put(vec![message(5, "c")]).unwrap();
        assert!(inbox.put(vec![message(4, "b")]).is_err());
        assert!(inbox.take(2).is_empty());
        assert_eq!(payloads(&inbox.take(4)), [b"a", b"b"]);
        assert_eq!(payloads(&inbox.take(5)), [b"c"]);
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let mut outbox = Outbox::default();
        let room = 2 * (2 + OVERHEAD_BYTES);
        assert!(outbox.push(message(1, "a"), room));
        assert!(outbox.push(message(1, "b"), room));
        assert!(!outbox.push(message(1, "c"), room));
        outbox.take_back(2);
        assert!(!outbox.push(message(1, "c"), room));
        outbox.take_back(1);
        assert!(outbox.push(message(1, "a"), room) && outbox.push(message(1, "b"), room));
        assert_eq!(payloads(&outbox.take(1, 1)), [b"a"], "one at least");
        assert!(outbox.push(message(1, "c"), room));
        assert_eq!(payloads(&outbox.take(1, room)), [b"b", b"c"]);
        let huge = Message {
            payload: vec![0; MESSAGE_BYTES_MAX as usize].into(),
            ..message(1, "")
        };
        assert!(!outbox.push(huge, u64::MAX));
    }

    #[test]
    fn a_source_that_sends_far_ahead_is_refused() {
        let mut inbox = Inbox::default();
        let payload = bytes::Bytes::from(vec![0; 1 << 20]);
        let large = || Message {
            payload: payload.clone(),
            ..message(9, "")
        };
        for _ in 0..INBOX_BYTES_MAX >> 20 {
            inbox.put(vec![large()]).unwrap();
        }
        assert!(inbox.check().is_err());
        assert_eq!(inbox.take(9).len() as u64, INBOX_BYTES_MAX >> 20);
        assert!(inbox.check().is_ok());
    }
}
