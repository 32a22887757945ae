//! `partition.toml`: the version of the directory's format, which replica of its partition it is, and who wrote the log.
//!
//! ```toml
//! format = 3
//! replica = "5f2d7c0e9b8a41d3a6c4e1f09b7d2a35"
//! # term, index of the first entry, id
//! epochs = [
//!   "1 1 9f86d081884c7d659a2feaa0c55ad015",
//! ]
//! ```
//! It is replaced in one step, so after a crash there is the old one or the new one, whole and on disk.
//!
//! A checkpoint has no replica's id: who starts on a copy of one is given an id of his own. In format 1 there was none, and keys
//! stood in another order in the store; in format 2 only the fields of large hashes did. Neither is read any more.

use std::fmt;
use std::fs;
use std::path::Path;

use haypile_sync::{Epoch, EpochHistory, EpochId};
use haypile_types::{Random, Readers, replace_file};

use crate::PartitionError;

/// The file's name in a partition's directory.
pub(crate) const FILE: &str = "partition.toml";
const FORMAT: u32 = 3;
const HEAD: &str = "# A Haypile partition. The server writes this file; do not change it.\n";
const EPOCHS: &str = "epochs = [";

/// Which replica of its partition a directory is: an id that is made with it and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(pub u128);

impl ReplicaId {
    /// An id that nobody has.
    pub(crate) fn fresh(random: &mut dyn Random) -> Self {
        ReplicaId((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `None` of a checkpoint.
    pub(crate) replica: Option<ReplicaId>,
    pub(crate) history: EpochHistory,
}

/// Reads the file, and makes one if there is none: then the directory becomes a partition, without a history.
pub(crate) fn load_or_create(dir: &Path, random: &mut dyn Random) -> Result<Identity, PartitionError> {
    if let Some(identity) = load(dir)? {
        return Ok(identity);
    }
    let identity = Identity {
        replica: Some(ReplicaId::fresh(random)),
        history: EpochHistory::new(),
    };
    save(dir, identity.replica, &identity.history)?;
    Ok(identity)
}

/// Reads the file; `None` if there is none.
pub(crate) fn load(dir: &Path) -> Result<Option<Identity>, PartitionError> {
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match parse(&text) {
            Ok(identity) => Ok(Some(identity)),
            Err(reason) => Err(PartitionError::Identity { path, reason }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PartitionError::Io {
            verb: "read",
            path,
            source,
        }),
    }
}

/// Replaces the file by one with this id and history, and waits until the disk has it.
pub(crate) fn save(dir: &Path, replica: Option<ReplicaId>, history: &EpochHistory) -> Result<(), PartitionError> {
    let path = dir.join(FILE);
    replace_file(&path, print(replica, history).as_bytes(), Readers::AsUsual).map_err(|source| {
        let verb = "replace";
        PartitionError::Io { verb, path, source }
    })
}

fn print(replica: Option<ReplicaId>, history: &EpochHistory) -> String {
    let mut text = format!("{HEAD}format = {FORMAT}\n");
    if let Some(replica) = replica {
        text.push_str(&format!("replica = \"{replica}\"\n"));
    }
    if history.epochs().is_empty() {
        return text;
    }
    text.push_str("# term, index of the first entry, id\n");
    text.push_str(EPOCHS);
    for Epoch { term, id, first_index } in history.epochs() {
        text.push_str(&format!("\n  \"{term} {first_index} {id}\","));
    }
    text.push_str("\n]\n");
    text
}

fn parse(text: &str) -> Result<Identity, String> {
    let mut format = None;
    let mut replica = None;
    let mut epochs = Vec::new();
    let mut in_list = false;
    for line in text.lines().map(str::trim) {
        match line {
            "" => {}
            _ if line.starts_with('#') => {}
            "]" if in_list => in_list = false,
            _ if in_list => epochs.push(parse_epoch(line).ok_or_else(|| format!("{line} is no epoch"))?),
            EPOCHS => in_list = true,
            _ => match line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("format", value)) => format = Some(value),
                Some(("replica", value)) => {
                    replica = Some(parse_replica(value).ok_or_else(|| format!("{value} is no id of a replica"))?);
                }
                _ => {}
            },
        }
    }
    if in_list {
        return Err("the list of epochs has no end".into());
    }
    let Some(format) = format else {
        return Err("the line `format = ...` is missing".into());
    };
    match format.parse::<u32>() {
        Ok(FORMAT) => {}
        Ok(number @ 1..FORMAT) => {
            return Err(format!(
                "this directory was written by an earlier version, whose format {number} is no longer read; begin with an \
                 empty directory, and copy the keys over from a server of that version on this one"
            ));
        }
        _ => {
            return Err(format!(
                "format {format} was written by another version of Haypile; this one reads format {FORMAT}"
            ));
        }
    }
    Ok(Identity {
        replica,
        history: EpochHistory::from_epochs(epochs).map_err(|error| error.to_string())?,
    })
}

fn parse_replica(value: &str) -> Option<ReplicaId> {
    let digits = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(ReplicaId(u128::from_str_radix(digits, 16).ok()?))
}

fn parse_epoch(line: &str) -> Option<Epoch> {
    let mut words = line.strip_prefix('"')?.strip_suffix("\",")?.split(' ');
    let epoch = Epoch {
        term: words.next()?.parse().ok()?,
        first_index: words.next()?.parse().ok()?,
        id: EpochId(u128::from_str_radix(words.next()?, 16).ok()?),
    };
    words.next().is_none().then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl Random for Counting {
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn a_history_comes_back_as_it_was_saved_and_the_replica_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Counting(0);
        let made = load_or_create(dir.path(), &mut random).unwrap();
        assert_eq!(made.replica, Some(ReplicaId((1 << 64) | 2)));
        assert_eq!(made.history, EpochHistory::new());
        assert_eq!(load_or_create(dir.path(), &mut random).unwrap(), made);
        let mut history = EpochHistory::new();
        history.begin(EpochId(7), 0);
        history.begin(EpochId(u128::MAX), 90);
        for replica in [made.replica, None] {
            save(dir.path(), replica, &history).unwrap();
            let history = history.clone();
            assert_eq!(load(dir.path()).unwrap(), Some(Identity { replica, history }));
        }
    }

    #[test]
    fn format_2_still_reads() {
        let text = "format = 3\nreplica = \"000000000000000000000000000000ff\"\nepochs = [\n  \"1 1 0000000000000000000000000000000a\",\n]\n";
        let epoch = Epoch {
            term: 1,
            first_index: 1,
            id: EpochId(10),
        };
        let identity = Identity {
            replica: Some(ReplicaId(255)),
            history: EpochHistory::from_epochs(vec![epoch]).unwrap(),
        };
        assert_eq!(parse(text), Ok(identity.clone()));
        let written = print(identity.replica, &identity.history);
        let without_comments: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(without_comments.join("\n") + "\n", text);
        assert_eq!(parse("# A Haypile partition.\nformat = 3\n"), Ok(Identity::default()));
    }

    #[test]
    fn an_earlier_format_is_refused_with_what_to_do() {
        let error = parse("format = 1\nepochs = [\n  \"1 1 0000000000000000000000000000000a\",\n]\n").unwrap_err();
        assert!(
            error.contains("earlier version") && error.contains("empty directory"),
            "{error}"
        );
    }

    #[test]
    fn damage_is_noticed() {
        for text in [
            "",
            "format = 4\n",
            "format = x\n",
            "format = 3\nreplica = 7\n",
            "format = 3\nreplica = \"x\"\n",
            "format = 3\nepochs = [\n",
            "format = 3\nepochs = [\n  \"1 1\",\n]\n",
            "format = 3\nepochs = [\n  \"0 1 0a\",\n]\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
