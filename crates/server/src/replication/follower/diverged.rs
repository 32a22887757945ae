//! Entries of the log that nobody else has, and that a full sync takes away: they are kept in a file.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use haypile_types::Position;

use crate::diverged::file::Writer;
use crate::node::Node;

/// The directory of these files, in the data directory.
const DIR: &str = "diverged";

/// Writes the entries from `first` to `last` to a file of their own; gives its path.
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
    let mut file = Writer::create(&path, first, last)?;
    let mut kept = 0;
    while let Some(entry) = reader.next_borrowed().map_err(io::Error::other)? {
        let position = entry.header.position;
        file.push(position, entry.header.timestamp, entry.payload)?;
        kept += 1;
        if position.index >= last.index {
            break;
        }
    }
    file.finish()?;
    File::open(&dir)?.sync_all()?;
    tracing::error!(%first, %last, kept, file = %path.display(), "writes that nobody else has are lost here: they are kept in a file, which `haypile diverged` prints");
    Ok(path)
}
