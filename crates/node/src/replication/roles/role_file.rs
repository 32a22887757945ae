//! `role.toml`: the role that this server took last, for when it starts again.
//!
//! ```toml
//! format = 1
//! role = "replica"
//! source = "10.0.0.7 6379"
//! confirmed = true
//! ```
//! `role` is `primary`, `replica` or `handed-over`, which has `failover` (a number), `end` and `node` (its id) beside `source`, the replica that
//! was told to take over. It is replaced in one step, so after a crash there is the old one or the new one, whole and on disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use haypile_sync::NodeId;
use haypile_sync::role::{Address, SavedRole, TakeOver};
use haypile_types::{Readers, replace_file};

const FILE: &str = "role.toml";
const FORMAT: u32 = 1;
const HEAD: &str =
    "# The role that the server took last. The server writes this file; `replicaof` in its configuration wins.\n";

/// Reads the role; `None` if none has been saved.
///
/// # Errors
/// The file cannot be read, or is none of ours.
pub(in crate::replication) fn load(dir: &Path) -> io::Result<Option<SavedRole>> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => {
            let bad = || {
                let advice = "it is not what this program writes: remove it, and say with --replicaof whom to follow, or `no one`";
                io::Error::new(io::ErrorKind::InvalidData, advice)
            };
            parse(&text).ok_or_else(bad).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file, and waits until the disk has it.
///
/// # Errors
/// The file or the directory; what was there before is there still.
pub(in crate::replication) fn save(dir: &Path, role: &SavedRole) -> io::Result<()> {
    replace_file(&dir.join(FILE), print(role).as_bytes(), Readers::Owner)
}

fn print(role: &SavedRole) -> String {
    let lines = match role {
        SavedRole::Primary => "role = \"primary\"\n".to_owned(),
        SavedRole::Replica { source, confirmed } => {
            format!("role = \"replica\"\nsource = \"{source}\"\nconfirmed = {confirmed}\n")
        }
        SavedRole::HandedOver(TakeOver { id, target, node, end }) => {
            format!("role = \"handed-over\"\nsource = \"{target}\"\nfailover = {id}\nend = {end}\nnode = \"{node}\"\n")
        }
    };
    format!("{HEAD}format = {FORMAT}\n{lines}")
}

fn parse(text: &str) -> Option<SavedRole> {
    let lines = text.lines().map(str::trim);
    let mut values = BTreeMap::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=')?;
        values.insert(name.trim(), value.trim().trim_matches('"'));
    }
    if values.get("format")?.parse() != Ok(FORMAT) {
        return None;
    }
    let source = || Address::parse(values.get("source")?);
    match *values.get("role")? {
        "primary" => Some(SavedRole::Primary),
        "replica" => Some(SavedRole::Replica {
            source: source()?,
            confirmed: values.get("confirmed")?.parse().ok()?,
        }),
        "handed-over" => Some(SavedRole::HandedOver(TakeOver {
            id: values.get("failover")?.parse().ok()?,
            target: source()?,
            end: values.get("end")?.parse().ok()?,
            node: NodeId(u128::from_str_radix(values.get("node")?, 16).ok()?),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let address = || Address::parse("fe80::1%eth0 6379").unwrap();
        let replica = |confirmed| SavedRole::Replica {
            source: address(),
            confirmed,
        };
        let handed_over = SavedRole::HandedOver(TakeOver {
            id: u64::MAX,
            target: address(),
            end: 7,
            node: NodeId(u128::MAX),
        });
        for role in [SavedRole::Primary, replica(false), replica(true), handed_over] {
            save(dir.path(), &role).unwrap();
            assert_eq!(load(dir.path()).unwrap(), Some(role));
        }
    }

    #[test]
    fn what_is_no_role_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let good = "format = 1\nrole = \"replica\"\nsource = \"h 1\"\nconfirmed = true\n";
        assert!(parse(good).is_some());
        let without = |what: &str| {
            good.lines()
                .filter(|line| !line.starts_with(what))
                .collect::<Vec<_>>()
                .join("\n")
        };
        for bad in ["format", "role", "source", "confirmed"].map(without) {
            fs::write(dir.path().join(FILE), bad).unwrap();
            assert_eq!(load(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        for (old, new) in [
            ("format = 1", "format = 2"),
            ("\"replica\"", "\"king\""),
            ("h 1", "h 0"),
            ("h 1", "1"),
        ] {
            assert_eq!(parse(&good.replace(old, new)), None, "{new}");
        }
    }
}
