//! Checkpoints of a simulated source, whose files hold entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use haypile_sync::SnapshotId;
use haypile_sync::copy::{CHUNK_BYTES_MIN, ChunkRef, Digest, FileEntry, Manifest};
use haypile_types::Position;

use crate::disk::{Disk, Entry};

const ENTRIES_PER_FILE: usize = 128;
const ENTRY_BYTES: usize = 64;
const CHUNK: u32 = CHUNK_BYTES_MIN;

/// A checkpoint on a source's disk. Its files hold all entries up to its position; two checkpoints share those that
/// have not changed, as RocksDB's do.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its description.
    pub manifest: Arc<Manifest>,
    /// Its files' contents.
    pub files: Vec<Vec<u8>>,
}

impl Snapshot {
    /// Makes one of all that is there.
    pub fn make(id: SnapshotId, disk: &Disk) -> Snapshot {
        let last = disk.last();
        let position = if last == 0 {
            Position::ZERO
        } else {
            Position::new(disk.entry(last).term, last)
        };
        let parts = disk.data.chunks(ENTRIES_PER_FILE);
        let files: Vec<Vec<u8>> = parts.map(|entries| entries.iter().flat_map(encode).collect()).collect();
        let describe = |(n, bytes): (usize, &Vec<u8>)| FileEntry {
            name: format!("{n:06}.sst"),
            size: bytes.len() as u64,
            digests: bytes.chunks(CHUNK as usize).map(Digest::of).collect(),
        };
        let entries = files.iter().enumerate().map(describe).collect();
        let manifest = Manifest::new(id, position, disk.history.clone(), CHUNK, entries);
        let manifest = Arc::new(manifest.unwrap_or_else(|error| panic!("a bad manifest: {error}")));
        Snapshot { manifest, files }
    }

    /// A chunk's bytes; `None` if there is no such chunk.
    pub fn chunk(&self, at: ChunkRef) -> Option<&[u8]> {
        let (offset, length) = self.manifest.range(at)?;
        let offset = offset as usize;
        self.files[at.file as usize].get(offset..offset + length as usize)
    }
}

/// The entries that copied files hold.
pub fn decode(manifest: &Manifest, files: &BTreeMap<String, Vec<u8>>) -> Vec<Entry> {
    let contents = manifest
        .files()
        .iter()
        .flat_map(|file| files[&file.name].chunks(ENTRY_BYTES));
    contents.map(decode_entry).collect()
}

fn encode(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0u8; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&entry.term.to_le_bytes());
    for part in bytes[8..].chunks_exact_mut(8) {
        part.copy_from_slice(&entry.value.to_le_bytes());
    }
    bytes
}

fn decode_entry(bytes: &[u8]) -> Entry {
    let word = |at: usize| {
        let part: [u8; 8] = bytes[at..at + 8].try_into().unwrap_or_else(|_| panic!("a cut entry"));
        u64::from_le_bytes(part)
    };
    let value = word(8);
    assert!(
        (16..ENTRY_BYTES).step_by(8).all(|at| word(at) == value),
        "a damaged entry was installed"
    );
    Entry { term: word(0), value }
}
