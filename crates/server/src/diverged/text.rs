//! Entries as text for people, and as JSON for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use haypile_commands::describe::{Change, Done, Place, What};
use haypile_node::diverged_file::{Entry, Reader};
use haypile_resp::format_double;
use serde_json::{Value, json};

use crate::monitor::quote;

/// Prints entries one after another.
#[derive(Default)]
pub(super) struct Printer {
    /// The database that the commands printed last are for.
    db: u16,
}

impl Printer {
    pub(super) fn head(&self, out: &mut impl Write, file: &Reader) -> io::Result<()> {
        let (first, last) = file.bounds();
        writeln!(
            out,
            "# entries {first} to {last}: each with its time and its command, and what that did"
        )
    }

    pub(super) fn entry(&mut self, out: &mut impl Write, entry: &Entry, done: &[Done]) -> io::Result<()> {
        let (position, time) = (entry.position, utc(entry.timestamp));
        if done.is_empty() {
            writeln!(out, "# {position}  {time}  nothing")?;
        }
        for done in done {
            let mut line = String::new();
            if !done.key.is_empty() {
                quote(&done.key, &mut line);
            }
            let command = done.command.as_deref().unwrap_or("(no command)");
            writeln!(out, "# {position}  {time}  {command}{line}")?;
            for change in &done.changes {
                self.change(out, done.command.as_deref(), change)?;
            }
        }
        Ok(())
    }

    fn change(&mut self, out: &mut impl Write, command: Option<&str>, change: &Change) -> io::Result<()> {
        let line = line(command, change);
        match change.place {
            Place::Database(db) => {
                if !line.starts_with('#') && db != self.db {
                    self.db = db;
                    writeln!(out, "SELECT {db}")?;
                }
                writeln!(out, "{line}")
            }
            // Which database that was is not known: nothing to do again.
            Place::Keyspace(space) => writeln!(out, "# in keyspace {space}: {}", line.trim_start_matches("# ")),
        }
    }
}

/// A command that does the same again; or a remark, which begins with `#`.
fn line(command: Option<&str>, change: &Change) -> String {
    let key = &change.key[..];
    match &change.what {
        What::Gone => spell("DEL", &[key]),
        What::String { value, expire_at } => {
            let mut line = spell("SET", &[key, value]);
            if let Some(at) = expire_at {
                // Writing to a string cannot fail.
                let _ = write!(line, " PXAT {at}");
            }
            line
        }
        What::Collection { kind, size, expire_at } => {
            let key = quoted(key);
            match expire_at {
                Some(at) if command.is_some_and(|command| command.contains("expire")) => format!("PEXPIREAT{key} {at}"),
                Some(at) => format!("#{key}: {} of size {size}, expires at {at}", kind.name()),
                None => format!("#{key}: {} of size {size}", kind.name()),
            }
        }
        What::Field(field, Some(value)) => spell("HSET", &[key, field, value]),
        What::Field(field, None) => spell("HDEL", &[key, field]),
        What::Member(member, true) => spell("SADD", &[key, member]),
        What::Member(member, false) => spell("SREM", &[key, member]),
        What::Score(member, Some(score)) => {
            let score = format_double(*score);
            let score = String::from_utf8_lossy(score.as_bytes()).into_owned();
            format!("ZADD{} {score}{}", quoted(key), quoted(member))
        }
        What::Score(member, None) => spell("ZREM", &[key, member]),
        What::Element(_, Some(value)) if matches!(command, Some("rpush" | "rpushx")) => spell("RPUSH", &[key, value]),
        What::Element(_, Some(value)) if matches!(command, Some("lpush" | "lpushx")) => spell("LPUSH", &[key, value]),
        What::Element(place, value) => {
            let place = place.map_or("an element".into(), |place| format!("element {place}"));
            match value {
                Some(value) => format!("#{}: {place} is{}", quoted(key), quoted(value)),
                None => format!("#{}: {place} is removed", quoted(key)),
            }
        }
        What::Begins(label) => format!("#{}: elements with labels below {label} are removed", quoted(key)),
        What::Ends(label) => format!("#{}: elements with labels from {label} on are removed", quoted(key)),
        What::Bytes(offset, value) => spell("SETRANGE", &[key, offset.to_string().as_bytes(), value]),
        What::Expires(Some(at)) => format!("PEXPIREAT{} {at}", quoted(key)),
        What::Expires(None) => spell("PERSIST", &[key]),
        What::Mapped(space) => match (command, change.place) {
            (Some("flushdb" | "flushall"), Place::Database(db)) => format!("# database {db} is emptied"),
            (_, Place::Database(db)) => format!("# database {db} is what keyspace {space} holds"),
            (_, Place::Keyspace(_)) => String::new(),
        },
        What::Unknown(element, value) => match value {
            Some(value) => format!("#{}: bytes{} are{}", quoted(key), quoted(element), quoted(value)),
            None => format!("#{}: bytes{} are removed", quoted(key), quoted(element)),
        },
    }
}

fn spell(command: &str, args: &[&[u8]]) -> String {
    let mut line = command.to_owned();
    args.iter().for_each(|arg| quote(arg, &mut line));
    line
}

/// A space and the text between quotes, escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    quote(bytes, &mut text);
    text
}

/// One line for an entry.
pub(super) fn json(out: &mut impl Write, entry: &Entry, done: &[Done]) -> io::Result<()> {
    let commands: Vec<Value> = done.iter().map(command_json).collect();
    let line = json!({
        "term": entry.position.term,
        "index": entry.position.index,
        "time_us": entry.timestamp,
        "time": utc(entry.timestamp),
        "commands": commands,
    });
    writeln!(out, "{line}")
}

fn command_json(done: &Done) -> Value {
    let changes: Vec<Value> = done.changes.iter().map(change_json).collect();
    json!({ "command": done.command, "db": done.db, "key": bytes(&done.key), "changes": changes })
}

fn change_json(change: &Change) -> Value {
    let mut value = match &change.what {
        What::Gone => json!({ "change": "delete" }),
        What::String { value, expire_at } => {
            json!({ "change": "set", "value": bytes(value), "expire_at_ms": expire_at })
        }
        What::Collection { kind, size, expire_at } => {
            json!({ "change": "collection", "type": kind.name(), "size": size, "expire_at_ms": expire_at })
        }
        What::Field(field, value) => {
            json!({ "change": "field", "field": bytes(field), "value": value.as_deref().map(bytes) })
        }
        What::Member(member, there) => json!({ "change": "member", "member": bytes(member), "added": there }),
        What::Score(member, score) => {
            // An infinite score is no number in JSON.
            let score = score.map(|score| String::from_utf8_lossy(format_double(score).as_bytes()).into_owned());
            json!({ "change": "score", "member": bytes(member), "score": score })
        }
        What::Element(place, value) => {
            json!({ "change": "element", "place": place, "value": value.as_deref().map(bytes) })
        }
        What::Begins(label) => json!({ "change": "trim", "head": label }),
        What::Ends(label) => json!({ "change": "trim", "end": label }),
        What::Bytes(offset, value) => json!({ "change": "bytes", "offset": offset, "value": bytes(value) }),
        What::Expires(at) => json!({ "change": "expiry", "expire_at_ms": at }),
        What::Mapped(space) => json!({ "change": "database", "keyspace": space }),
        What::Unknown(element, value) => {
            json!({ "change": "unknown", "element": bytes(element), "value": value.as_deref().map(bytes) })
        }
    };
    value["key"] = bytes(&change.key);
    match change.place {
        Place::Database(db) => value["db"] = json!(db),
        Place::Keyspace(space) => value["keyspace"] = json!(space),
    }
    value
}

/// Text as it is; what is not text as `{"hex": …}`.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => {
            let mut hex = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
            }
            json!({ "hex": hex })
        }
    }
}

/// A time, microseconds since the epoch, as RFC 3339 writes it. The date is by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn utc(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(utc(951_782_399_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(utc(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
        assert_eq!(utc(1_767_225_599_000_001), "2025-12-31T23:59:59.000001Z");
    }

    #[test]
    fn changes_are_commands_that_do_them_again() {
        let change = |what| Change {
            place: Place::Database(0),
            key: b"k\"\xff".to_vec(),
            what,
        };
        for (what, text) in [
            (What::Gone, r#"DEL "k\"\xff""#),
            (
                What::String {
                    value: b"a\nb".to_vec(),
                    expire_at: Some(7),
                },
                r#"SET "k\"\xff" "a\nb" PXAT 7"#,
            ),
            (What::Field(b"f".to_vec(), None), r#"HDEL "k\"\xff" "f""#),
            (What::Score(b"m".to_vec(), Some(1.5)), r#"ZADD "k\"\xff" 1.5 "m""#),
            (
                What::Element(Some(3), Some(b"v".to_vec())),
                r##"# "k\"\xff": element 3 is "v""##,
            ),
            (
                What::Begins(3),
                r##"# "k\"\xff": elements with labels below 3 are removed"##,
            ),
        ] {
            assert_eq!(line(None, &change(what)), text);
        }
    }
}
