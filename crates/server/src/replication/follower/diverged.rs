//! Entries of the log that nobody else has, and that a full sync takes away: they are kept in a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use haypile_types::Position;

use crate::node::Node;

/// The directory of these files, in the data directory.
const DIR: &str = "diverged";

/// Writes the entries from `first` to `last` to a file of their own; gives its path.
///
/// ```text
/// "HAYPLOST" | format u32 LE = 1 | entries: term u64 LE, index u64 LE, timestamp u64 LE, length u32 LE, effects
/// ```
///
/// # Errors
/// The log or the file.
pub(super) fn keep(node: &Node, first: Position, last: Position) -> io::Result<PathBuf> {
    let dir = node.config.load().dir.join(DIR);
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!(
        "{}-{}-{}.entries",
        node.clock.now_ms() / 1000,
        first.index,
        last.index
    ));
    let data = node.data.load();
    let data = data.as_ref().ok_or_else(|| io::Error::other("the data is not open"))?;
    let from = first.index.max(data.readers().first_index());
    let mut reader = data.readers().reader(from).map_err(io::Error::other)?;
    let mut file = BufWriter::new(File::create(&path)?);
    file.write_all(b"HAYPLOST")?;
    file.write_all(&1u32.to_le_bytes())?;
    let mut kept = 0;
    while let Some(entry) = reader.next_borrowed().map_err(io::Error::other)? {
        let position = entry.header.position;
        file.write_all(&position.term.to_le_bytes())?;
        file.write_all(&position.index.to_le_bytes())?;
        file.write_all(&entry.header.timestamp.to_le_bytes())?;
        file.write_all(&(entry.payload.len() as u32).to_le_bytes())?;
        file.write_all(entry.payload)?;
        kept += 1;
        if position.index >= last.index {
            break;
        }
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    File::open(&dir)?.sync_all()?;
    tracing::error!(%first, %last, kept, file = %path.display(), "writes that nobody else has are lost here: they are kept in a file");
    Ok(path)
}
