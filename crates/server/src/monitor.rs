//! MONITOR: clients that are sent every command that the server evaluates.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haypile_commands::Flags;
use haypile_commands::table::Known;
use haypile_resp::Request;
use parking_lot::RwLock;

use crate::client::Client;
use crate::mailbox::Message;
use crate::slowlog::secrets;

/// The clients that watch.
#[derive(Default)]
pub struct Monitors {
    /// Looked at for every command, so that nobody pays for what nobody uses.
    active: AtomicBool,
    clients: RwLock<Vec<Arc<Client>>>,
}

impl Monitors {
    /// Adds a client.
    pub fn add(&self, client: &Arc<Client>) {
        let mut clients = self.clients.write();
        if !client.monitors.swap(true, Ordering::Relaxed) {
            clients.push(client.clone());
        }
        self.active.store(true, Ordering::Relaxed);
    }

    /// Removes a client, if it is one of them.
    pub fn remove(&self, client: &Client) {
        if client.monitors.swap(false, Ordering::Relaxed) {
            let mut clients = self.clients.write();
            clients.retain(|other| other.id != client.id);
            self.active.store(!clients.is_empty(), Ordering::Relaxed);
        }
    }

    /// Shows a command to those who watch. Commands for operators are not shown, as in Redis, nor are passwords.
    pub fn show(&self, known: &Known, request: &Request, client: &Client, now_us: impl FnOnce() -> u64) {
        if !self.active.load(Ordering::Relaxed) || hidden(known) {
            return;
        }
        let line: Arc<[u8]> = line(request, client, now_us()).into_bytes().into();
        for watching in self.clients.read().iter() {
            watching.home.push(Message::Push {
                client: watching.id,
                token: watching.token,
                bytes: line.clone(),
            });
        }
    }
}

fn hidden(known: &Known) -> bool {
    known.spec.flags.has(Flags::ADMIN) || known.spec.flags.has(Flags::SKIP_MONITOR)
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "set" "k" "v"`
fn line(request: &Request, client: &Client, now_us: u64) -> String {
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    let db = client.db.load(Ordering::Relaxed);
    let mut line = format!("+{seconds}.{micros:06} [{db} {}]", client.addr);
    let secret = secrets(request);
    for (at, arg) in request.iter().enumerate() {
        match secret.contains(&at) {
            true => line.push_str(" \"(redacted)\""),
            false => quote(arg, &mut line),
        }
    }
    line.push_str("\r\n");
    line
}

/// An argument between quotes, after a space, with what is not printable escaped.
pub(crate) fn quote(arg: &[u8], line: &mut String) {
    line.push_str(" \"");
    for &byte in arg {
        match byte {
            b'\\' | b'"' => line.extend(['\\', char::from(byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_quoted() {
        let mut line = String::new();
        super::quote(b"a\"\\\r\n\x00\xff b", &mut line);
        assert_eq!(line, " \"a\\\"\\\\\\r\\n\\x00\\xff b\"");
    }
}
