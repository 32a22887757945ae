//! `partition.toml`: the version of the directory's format, and who wrote the log.
//!
//! ```toml
//! format = 1
//! # term, index of the first entry, id
//! epochs = [
//!   "1 1 9f86d081884c7d659a2feaa0c55ad015",
//! ]
//! ```
//! It is replaced in one step, so after a crash there is the old one or the new one, whole and on disk.

use std::fs;
use std::io::Write;
use std::path::Path;

use haypile_sync::{Epoch, EpochHistory, EpochId};

use crate::PartitionError;

/// The file's name in a partition's directory.
pub(crate) const FILE: &str = "partition.toml";
const HEAD: &str = "\
# A Haypile partition. The server writes this file; do not change it.
format = 1
";
const EPOCHS: &str = "epochs = [";

/// Reads the file, and makes one if there is none: then the directory becomes a partition, without a history.
pub(crate) fn load_or_create(dir: &Path) -> Result<EpochHistory, PartitionError> {
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|reason| PartitionError::Identity { path, reason }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            save(dir, &EpochHistory::new())?;
            Ok(EpochHistory::new())
        }
        Err(source) => Err(PartitionError::Io {
            verb: "read",
            path,
            source,
        }),
    }
}

/// Replaces the file by one with this history, and waits until the disk has it.
pub(crate) fn save(dir: &Path, history: &EpochHistory) -> Result<(), PartitionError> {
    let path = dir.join(FILE);
    let io = |verb, path: &Path| {
        let path = path.to_owned();
        move |source| PartitionError::Io { verb, path, source }
    };
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh).map_err(io("create", &fresh))?;
    file.write_all(print(history).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io("write", &fresh))?;
    fs::rename(&fresh, &path).map_err(io("name", &path))?;
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))
}

fn print(history: &EpochHistory) -> String {
    let mut text = HEAD.to_owned();
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

fn parse(text: &str) -> Result<EpochHistory, String> {
    let mut format = None;
    let mut epochs = Vec::new();
    let mut in_list = false;
    for line in text.lines().map(str::trim) {
        match line {
            "" => {}
            _ if line.starts_with('#') => {}
            "]" if in_list => in_list = false,
            _ if in_list => epochs.push(parse_epoch(line).ok_or_else(|| format!("{line} is no epoch"))?),
            EPOCHS => in_list = true,
            _ => {
                if let Some(value) = line
                    .strip_prefix("format")
                    .and_then(|rest| rest.trim().strip_prefix('='))
                {
                    format = Some(value.trim());
                }
            }
        }
    }
    if in_list {
        return Err("the list of epochs has no end".into());
    }
    match format {
        Some("1") => EpochHistory::from_epochs(epochs).map_err(|error| error.to_string()),
        Some(other) => Err(format!(
            "format {other} was written by another version of Haypile; this one reads format 1"
        )),
        None => Err("the line `format = ...` is missing".into()),
    }
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

    #[test]
    fn a_history_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_or_create(dir.path()).unwrap(), EpochHistory::new());
        let mut history = EpochHistory::new();
        history.begin(EpochId(7), 0);
        history.begin(EpochId(u128::MAX), 90);
        save(dir.path(), &history).unwrap();
        assert_eq!(load_or_create(dir.path()).unwrap(), history);
    }

    #[test]
    fn what_earlier_versions_wrote_still_reads() {
        assert_eq!(parse("# A Haypile partition.\nformat = 1\n"), Ok(EpochHistory::new()));
        let text = "format = 1\nepochs = [\n  \"1 1 0000000000000000000000000000000a\",\n]\n";
        let history = parse(text).unwrap();
        assert_eq!(
            history.epochs(),
            [Epoch {
                term: 1,
                first_index: 1,
                id: EpochId(10)
            }]
        );
    }

    #[test]
    fn damage_is_noticed() {
        for text in [
            "",
            "format = 2\n",
            "format = 1\nepochs = [\n",
            "format = 1\nepochs = [\n  \"1 1\",\n]\n",
            "format = 1\nepochs = [\n  \"0 1 0a\",\n]\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
