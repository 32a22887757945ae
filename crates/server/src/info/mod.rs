//! INFO: sections of lines `field:value`, with Redis' names where Redis has the field. What has no counterpart here is
//! left at the value that says "nothing": programs parse these fields.

mod counters;
mod data;
mod own;
mod process;
mod replication;

use std::fmt::{Display, Write};
use std::sync::Arc;

use haypile_partition::PartitionStats;
use haypile_store::StoreStats;
use haypile_sync::role::RoleMachine;

pub(crate) use counters::commands;

use crate::state::ServerState;
use haypile_config::Values;

/// The version of Redis whose commands and replies these are. Client libraries ask for it.
pub const REDIS_VERSION: &str = "7.2.0";

/// What sections are made of: gathered once, so that they agree with each other.
pub struct Facts<'a> {
    /// The server.
    pub server: &'a ServerState,
    /// Its role.
    pub role: Arc<RoleMachine>,
    /// Its configuration.
    pub values: Arc<Values>,
    /// Figures of the partition.
    pub partition: PartitionStats,
    /// Figures of the store.
    pub store: StoreStats,
}

/// Which sections belong to which word: `default` has them shown without being named, `all` shows also the others.
struct Section {
    name: &'static str,
    title: &'static str,
    default: bool,
    write: fn(&Facts<'_>, &mut Lines),
}

/// In the order in which they are shown.
const SECTIONS: &[Section] = &[
    section("server", "Server", process::server),
    section("clients", "Clients", process::clients),
    section("memory", "Memory", process::memory),
    section("persistence", "Persistence", data::persistence),
    section("stats", "Stats", counters::stats),
    section("replication", "Replication", replication::replication),
    section("cpu", "CPU", process::cpu),
    section("modules", "Modules", |_, _| {}),
    Section {
        default: false,
        ..section("commandstats", "Commandstats", counters::commandstats)
    },
    section("errorstats", "Errorstats", counters::errorstats),
    Section {
        default: false,
        ..section("latencystats", "Latencystats", counters::latencystats)
    },
    section("cluster", "Cluster", data::cluster),
    section("keyspace", "Keyspace", data::keyspace),
    section("haypile", "Haypile", own::haypile),
];

const fn section(name: &'static str, title: &'static str, write: fn(&Facts<'_>, &mut Lines)) -> Section {
    Section {
        name,
        title,
        default: true,
        write,
    }
}

/// The lines of a section.
#[derive(Default)]
pub struct Lines(String);

impl Lines {
    /// A value that has line breaks of its own, a path say, keeps to its line.
    fn put(&mut self, field: &str, value: impl Display) {
        let start = self.0.len();
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{field}:{value}");
        if self.0[start..].contains(['\r', '\n']) {
            let line = self.0.split_off(start);
            self.0
                .extend(line.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
        }
        self.0.push_str("\r\n");
    }

    /// A number of bytes, and the same for people.
    fn put_bytes(&mut self, field: &str, bytes: u64) {
        self.put(field, bytes);
        self.put(&format!("{field}_human"), human(bytes));
    }

    /// Several fields with the value 0.
    fn zeros(&mut self, fields: &[&str]) {
        fields.iter().for_each(|field| self.put(field, 0));
    }
}

/// The text of the sections that are asked for; without names, of the default ones. Unknown names show nothing.
pub fn text(facts: &Facts<'_>, names: &[String]) -> String {
    let named = |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let all = named("all") || named("everything");
    let default = names.is_empty() || named("default");
    let mut lines = Lines::default();
    for section in SECTIONS {
        if all || (default && section.default) || named(section.name) {
            if !lines.0.is_empty() {
                lines.0.push_str("\r\n");
            }
            let _ = write!(lines.0, "# {}\r\n", section.title);
            (section.write)(facts, &mut lines);
        }
    }
    lines.0
}

/// A number of bytes as Redis shows it to people: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_572_864, "1.50M"),
            (25_276_502_016, "23.54G"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn a_value_is_one_line() {
        let mut lines = Lines::default();
        lines.put("a", "b\r\nc:d");
        lines.put("e", 1);
        assert_eq!(lines.0, "a:b  c:d\r\ne:1\r\n");
    }

    #[test]
    fn no_section_has_the_name_of_a_group_of_sections() {
        for section in SECTIONS {
            assert!(!["all", "default", "everything"].contains(&section.name));
        }
    }
}
