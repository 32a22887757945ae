//! The commands that took long.

use std::collections::VecDeque;

use haypile_resp::Request;
use parking_lot::Mutex;

/// One slow command.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Counts up.
    pub id: u64,
    /// Seconds since the epoch.
    pub at: u64,
    /// Microseconds it took.
    pub micros: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// That client's name.
    pub name: Vec<u8>,
}

/// The newest slow commands, newest first.
#[derive(Default)]
pub struct SlowLog {
    entries: Mutex<(u64, VecDeque<SlowEntry>)>,
}

/// Arguments that are kept of a command, as in Redis.
const ARGS_MAX: usize = 32;
/// Bytes that are kept of an argument, as in Redis.
const ARG_BYTES_MAX: usize = 128;

impl SlowLog {
    /// Keeps a command, and `len_max` entries at most.
    pub fn add(&self, request: &Request, at: u64, micros: u64, addr: String, name: Vec<u8>, len_max: usize) {
        let shown = if request.len() > ARGS_MAX {
            ARGS_MAX - 1
        } else {
            request.len()
        };
        let mut args: Vec<Vec<u8>> = request
            .iter()
            .take(shown)
            .map(|arg| match arg.len() > ARG_BYTES_MAX {
                true => {
                    let mut short = arg[..ARG_BYTES_MAX].to_vec();
                    short.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes());
                    short
                }
                false => arg.to_vec(),
            })
            .collect();
        if request.len() > shown {
            args.push(format!("... ({} more arguments)", request.len() - shown).into_bytes());
        }
        let mut entries = self.entries.lock();
        let id = entries.0;
        entries.0 += 1;
        entries.1.push_front(SlowEntry {
            id,
            at,
            micros,
            args,
            addr,
            name,
        });
        entries.1.truncate(len_max);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.entries.lock().1.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.lock().1.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.entries.lock().1.clear();
    }
}
