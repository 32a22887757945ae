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
        let secret = secrets(request);
        let shown = if request.len() > ARGS_MAX {
            ARGS_MAX - 1
        } else {
            request.len()
        };
        let mut args: Vec<Vec<u8>> = request
            .iter()
            .enumerate()
            .take(shown)
            .map(|(at, arg)| match arg.len() > ARG_BYTES_MAX {
                _ if secret.contains(&at) => b"(redacted)".to_vec(),
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

    /// Forgets the oldest entries beyond `len_max`.
    pub fn truncate(&self, len_max: usize) {
        self.entries.lock().1.truncate(len_max);
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

/// The arguments that hold a password: nobody who may read the log is to learn it.
pub(crate) fn secrets(request: &Request) -> Vec<usize> {
    let is = |at: usize, word: &str| {
        request
            .get(at)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(0, "auth") {
        return (1..request.len()).collect();
    }
    if is(0, "hello") {
        return secrets_of_hello(request);
    }
    if is(0, "acl") && is(1, "dryrun") {
        let inner = Request::from_args(request.iter().skip(3));
        return secrets(&inner).into_iter().map(|at| at + 3).collect();
    }
    if is(0, "acl") && ["setuser", "deluser", "getuser"].iter().any(|word| is(1, word)) {
        return (2..request.len()).collect();
    }
    if is(0, "config") && is(1, "set") {
        let secret = |at: usize| {
            let name = std::str::from_utf8(&request[at]).ok()?;
            haypile_config::find_key(name).filter(|key| key.is_secret())
        };
        let names = (2..request.len()).step_by(2);
        return names.filter(|&at| secret(at).is_some()).map(|at| at + 1).collect();
    }
    Vec::new()
}

/// Of the options of HELLO: a name may be "auth" too, and there may be several.
fn secrets_of_hello(request: &Request) -> Vec<usize> {
    let (mut secret, mut at) = (Vec::new(), 2);
    while let Some(option) = request.get(at) {
        at += match option.to_ascii_lowercase().as_slice() {
            b"auth" => {
                secret.extend([at + 1, at + 2]);
                3
            }
            b"setname" => 2,
            _ => {
                // It is no option, and what follows may be anything.
                secret.extend(at..request.len());
                break;
            }
        };
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(args: &[&str]) -> Vec<String> {
        let log = SlowLog::default();
        log.add(&Request::from_args(args), 1, 2, "addr".into(), Vec::new(), 10);
        let entry = log.newest(1).remove(0);
        entry
            .args
            .into_iter()
            .map(|arg| String::from_utf8(arg).unwrap())
            .collect()
    }

    #[test]
    fn passwords_are_not_kept() {
        assert_eq!(logged(&["AUTH", "me", "pw"]), ["AUTH", "(redacted)", "(redacted)"]);
        assert_eq!(
            logged(&["hello", "3", "auth", "me", "pw", "setname", "x"]),
            ["hello", "3", "auth", "(redacted)", "(redacted)", "setname", "x"]
        );
        assert_eq!(
            logged(&["hello", "3", "setname", "auth", "AUTH", "me", "pw", "auth", "me", "pw"])[4..],
            ["AUTH", "(redacted)", "(redacted)", "auth", "(redacted)", "(redacted)"]
        );
        assert_eq!(logged(&["hello", "3", "auht", "me"])[2..], ["(redacted)", "(redacted)"]);
        assert_eq!(
            logged(&["acl", "dryrun", "ann", "auth", "ann", "pw"])[3..],
            ["auth", "(redacted)", "(redacted)"]
        );
        assert_eq!(
            logged(&["acl", "SETUSER", "ann", ">pw"]),
            ["acl", "SETUSER", "(redacted)", "(redacted)"]
        );
        assert_eq!(
            logged(&["CONFIG", "SET", "timeout", "1", "REQUIREPASS", "pw"]),
            ["CONFIG", "SET", "timeout", "1", "REQUIREPASS", "(redacted)"]
        );
        assert_eq!(
            logged(&["config", "set", "requirepass"]),
            ["config", "set", "requirepass"]
        );
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_old_goes() {
        let many: Vec<String> = (0..40).map(|i| i.to_string()).collect();
        let kept = logged(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((kept.len(), kept[31].as_str()), (32, "... (9 more arguments)"));
        let long = "x".repeat(130);
        assert!(logged(&["set", &long])[1].ends_with("xx... (2 more bytes)"));
        let log = SlowLog::default();
        for i in 0..5 {
            log.add(&Request::from_args(["ping"]), i, 0, String::new(), Vec::new(), 3);
        }
        assert_eq!(log.newest(10).iter().map(|e| e.id).collect::<Vec<_>>(), [4, 3, 2]);
        log.truncate(1);
        assert_eq!(log.len(), 1);
    }
}
