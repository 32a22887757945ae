//! ACL LOG: what was not allowed, the same things together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A log-in.
    Auth,
    /// A command.
    Command,
    /// What it would have done with a key.
    Key,
    /// A channel.
    Channel,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 4] = [Reason::Auth, Reason::Command, Reason::Key, Reason::Channel];

    /// As ACL LOG names it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Auth => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// By itself.
    TopLevel,
    /// Between MULTI and EXEC, or at EXEC.
    Multi,
}

impl Context {
    /// As ACL LOG names it.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
        }
    }
}

/// One sort of refusal.
#[derive(Clone, Debug)]
pub struct DenialEntry {
    /// Counts up from 0.
    pub id: u64,
    /// How often.
    pub count: u64,
    /// What was refused.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, the key or the channel.
    pub object: Vec<u8>,
    /// To whom.
    pub user: Vec<u8>,
    /// Milliseconds since the epoch when it was refused first.
    pub created_ms: u64,
    /// And when it was last.
    pub updated_ms: u64,
    /// The last client, as CLIENT LIST shows it.
    pub client: String,
}

/// Bytes that are kept of a name: whoever is refused chooses it.
const NAME_BYTES_MAX: usize = 1024;
/// What is refused again within this time is counted with the last time.
const TOGETHER_MS: u64 = 60_000;
/// So many entries are looked at for that.
const LOOKED_AT: usize = 10;

/// What was not allowed, the newest first.
#[derive(Default)]
pub struct Denials {
    entries: Mutex<(u64, VecDeque<DenialEntry>)>,
    counts: [AtomicU64; 4],
}

impl Denials {
    /// Keeps one, and `len_max` entries at most. Its number, its count and its first time are seen to here.
    pub fn add(&self, mut new: DenialEntry, len_max: usize) {
        new.object.truncate(NAME_BYTES_MAX);
        new.user.truncate(NAME_BYTES_MAX);
        self.counts[new.reason as usize].fetch_add(1, Ordering::Relaxed);
        let (next, entries) = &mut *self.entries.lock();
        if len_max == 0 {
            return entries.clear();
        }
        let is_same = |old: &DenialEntry| {
            old.reason == new.reason
                && old.context == new.context
                && new.updated_ms.abs_diff(old.updated_ms) <= TOGETHER_MS
                && old.object == new.object
                && old.user == new.user
        };
        let entry = match entries.iter().take(LOOKED_AT).position(is_same) {
            Some(at) => entries.remove(at).map(|old| DenialEntry {
                id: old.id,
                count: old.count + 1,
                created_ms: old.created_ms,
                ..new
            }),
            None => {
                *next += 1;
                Some(DenialEntry {
                    id: *next - 1,
                    count: 1,
                    created_ms: new.updated_ms,
                    ..new
                })
            }
        };
        if let Some(entry) = entry {
            entries.push_front(entry);
        }
        entries.truncate(len_max);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<DenialEntry> {
        self.entries.lock().1.iter().take(count).cloned().collect()
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries.lock().1.clear();
    }

    /// How often something was refused for this reason since the server started.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(object: &str, updated_ms: u64) -> DenialEntry {
        DenialEntry {
            id: 0,
            count: 0,
            reason: Reason::Key,
            context: Context::TopLevel,
            object: object.into(),
            user: b"ann".to_vec(),
            created_ms: 0,
            updated_ms,
            client: format!("at {updated_ms}"),
        }
    }

    fn shown(denials: &Denials) -> Vec<(u64, u64, String, u64, u64)> {
        let row = |e: DenialEntry| {
            let object = String::from_utf8(e.object).unwrap();
            assert_eq!(e.client, format!("at {}", e.updated_ms));
            (e.id, e.count, object, e.created_ms, e.updated_ms)
        };
        denials.newest(100).into_iter().map(row).collect()
    }

    #[test]
    fn the_same_within_a_minute_is_counted_together() {
        let denials = Denials::default();
        for (object, ms) in [("a", 1000), ("b", 2000), ("a", 3000), ("a", 61_000), ("b", 62_001)] {
            denials.add(denial(object, ms), 10);
        }
        let b = |id, ms| (id, 1, "b".to_owned(), ms, ms);
        assert_eq!(
            shown(&denials),
            [b(2, 62_001), (0, 3, "a".to_owned(), 1000, 61_000), b(1, 2000)]
        );
        denials.add(denial("c", 70_000), 2);
        assert_eq!(shown(&denials).len(), 2);
        assert_eq!(denials.count(Reason::Key), 6);
        denials.add(denial(&"x".repeat(NAME_BYTES_MAX + 1), 70_000), 1);
        assert_eq!(denials.newest(1)[0].object.len(), NAME_BYTES_MAX);
        denials.add(denial("c", 70_000), 0);
        assert!(shown(&denials).is_empty());
        assert_eq!(denials.count(Reason::Auth), 0);
    }
}
