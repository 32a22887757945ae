//! Entries of the log that nobody else has, and that a full sync takes away: they are kept in a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use haypile_sync::PartitionId;
use haypile_types::Position;

use crate::diverged_file::Writer;
use crate::replication::Replication;

/// The directory of these files, in the data directory.
const DIR: &str = "diverged";
/// Bytes after which it is said how far it is.
const TOLD_BYTES: u64 = 8 << 20;

/// Writes the entries from `first` to `last` to a file of their own, unless an earlier attempt has. `told` hears of the bytes written.
///
/// # Errors
/// The log or the file.
pub(super) fn keep(
    replication: &Replication,
    id: &PartitionId,
    first: Position,
    last: Position,
    told: impl Fn(u64),
) -> io::Result<()> {
    let values = replication.parts.config.get();
    let dir = values.dir.join(DIR);
    fs::create_dir_all(&dir)?;
    let data = replication.parts.partitions.of(id).clone();
    let data = data.ok_or_else(|| io::Error::other("the data is not open"))?;
    // Positions may come again in another epoch: its id tells them apart.
    let epoch = data.history().epoch_of(last.index).map(|epoch| epoch.id);
    let epoch = epoch.map(|id| id.to_string()).unwrap_or_default();
    let path = dir.join(format!(
        "{}-{}-{}.entries",
        first.index,
        last.index,
        &epoch[..epoch.len().min(12)]
    ));
    if path.exists() {
        tracing::info!(file = %path.display(), "writes that nobody else has are kept already");
        return Ok(());
    }
    let bytes_max = values.diverged_max_bytes;
    let fresh = path.with_extension("new");
    let from = first.index.max(data.readers().first_index());
    let mut reader = data.readers().reader(from).map_err(io::Error::other)?;
    let mut file = Writer::create(&fresh, first, last)?;
    let (mut kept, mut bytes, mut told_at, mut whole) = (0, 0, 0, true);
    while let Some(entry) = reader.next_borrowed().map_err(io::Error::other)? {
        let position = entry.header.position;
        bytes += entry.payload.len() as u64;
        if bytes_max > 0 && bytes > bytes_max {
            whole = false;
            break;
        }
        file.push(position, entry.header.timestamp, entry.payload)?;
        kept += 1;
        if bytes >= told_at + TOLD_BYTES {
            told(bytes);
            told_at = bytes;
        }
        if position.index >= last.index {
            break;
        }
    }
    file.finish()?;
    fs::rename(&fresh, &path)?;
    File::open(&dir)?.sync_all()?;
    tracing::error!(%first, %last, kept, file = %path.display(), "writes that nobody else has are lost here: they are kept in a file, which `haypile diverged` prints");
    if !whole {
        tracing::error!(bytes_max, "not all of them are kept: diverged-max-bytes");
    }
    remove_oldest(&dir, &path, bytes_max)
}

/// Removes the oldest files until all together have no more than so many bytes; not the one at `newest`.
fn remove_oldest(dir: &Path, newest: &Path, bytes_max: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let (path, about) = {
            let entry = entry?;
            (entry.path(), entry.metadata()?)
        };
        files.push((about.modified()?, about.len(), path));
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, size, path) in files {
        if bytes_max == 0 || bytes <= bytes_max {
            break;
        }
        if path != newest {
            tracing::warn!(file = %path.display(), bytes_max, "kept writes are removed, the oldest first: diverged-max-bytes");
            fs::remove_file(&path)?;
            bytes -= size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first_and_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, second: u64| {
            let path = dir.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(at)
                .unwrap();
            path
        };
        let [newest, second, first] = [make("a", 3), make("b", 2), make("c", 1)];
        remove_oldest(dir.path(), &newest, 0).unwrap();
        remove_oldest(dir.path(), &newest, 300).unwrap();
        assert!(first.exists() && second.exists());
        remove_oldest(dir.path(), &newest, 299).unwrap();
        assert!(!first.exists() && second.exists());
        remove_oldest(dir.path(), &newest, 1).unwrap();
        assert!(newest.exists() && !second.exists());
    }
}
