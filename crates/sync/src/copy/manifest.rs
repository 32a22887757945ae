//! The files of a checkpoint, cut into chunks with a digest each.

use std::collections::BTreeSet;

use haypile_types::Position;

use super::Digest;
use crate::{EpochHistory, SnapshotId};

/// Smallest chunk, in bytes.
pub const CHUNK_BYTES_MIN: u32 = 4 << 10;
/// Largest chunk, in bytes; a message of the wire format holds one chunk.
pub const CHUNK_BYTES_MAX: u32 = 16 << 20;
/// Chunk that a source uses, in bytes.
pub const CHUNK_BYTES_DEFAULT: u32 = 4 << 20;
/// Files in a checkpoint.
pub const FILES_MAX: usize = 1_000_000;
/// Length of a file's name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name within the checkpoint's directory, which has no others below it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// A digest for each chunk, in order. All chunks but the last have the manifest's chunk size.
    pub digests: Vec<Digest>,
}

/// One chunk of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkRef {
    /// Place of the file in the manifest.
    pub file: u32,
    /// Place of the chunk in the file.
    pub chunk: u32,
}

/// A checkpoint's contents. What has been made a `Manifest` has been checked: its names cannot lead out of a directory,
/// and its sizes, chunks and position agree with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    snapshot: SnapshotId,
    position: Position,
    history: EpochHistory,
    chunk_bytes: u32,
    files: Vec<FileEntry>,
    total_bytes: u64,
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A name that is empty, too long, has other characters than letters, digits, `.`, `-` and `_`, or starts with `.`.
    #[error("{0:?} is not an allowed file name")]
    Name(String),
    /// A name that occurs twice.
    #[error("the file {0} occurs twice")]
    Duplicate(String),
    /// More files than [`FILES_MAX`].
    #[error("{0} files are too many")]
    TooManyFiles(usize),
    /// A chunk size out of bounds.
    #[error("chunks of {0} bytes are not allowed")]
    ChunkSize(u32),
    /// A file whose digests do not match its size in number.
    #[error("{name} has {size} bytes and {digests} digests")]
    DigestCount {
        /// The file.
        name: String,
        /// Its size.
        size: u64,
        /// Its digests.
        digests: usize,
    },
    /// Sizes that cannot be added up.
    #[error("the files are too large")]
    TotalSize,
    /// A position that is not in the history, or a history that goes on beyond it.
    #[error("the position {0} does not fit the history")]
    Position(Position),
}

impl Manifest {
    /// Checks and makes a manifest.
    pub fn new(
        snapshot: SnapshotId,
        position: Position,
        history: EpochHistory,
        chunk_bytes: u32,
        files: Vec<FileEntry>,
    ) -> Result<Self, ManifestError> {
        if !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk_bytes) {
            return Err(ManifestError::ChunkSize(chunk_bytes));
        }
        if files.len() > FILES_MAX {
            return Err(ManifestError::TooManyFiles(files.len()));
        }
        let in_history = history.position_of(position.index) == Some(position);
        if !in_history || history.up_to(position.index) != history {
            return Err(ManifestError::Position(position));
        }
        let mut names = BTreeSet::new();
        let mut total_bytes = 0u64;
        for file in &files {
            check_name(&file.name)?;
            // Some file systems do not tell upper from lower case.
            if !names.insert(file.name.to_ascii_lowercase()) {
                return Err(ManifestError::Duplicate(file.name.clone()));
            }
            let chunks = file.size.div_ceil(u64::from(chunk_bytes));
            if chunks > u64::from(u32::MAX) || chunks != file.digests.len() as u64 {
                let (name, size, digests) = (file.name.clone(), file.size, file.digests.len());
                return Err(ManifestError::DigestCount { name, size, digests });
            }
            total_bytes = total_bytes.checked_add(file.size).ok_or(ManifestError::TotalSize)?;
        }
        Ok(Manifest {
            snapshot,
            position,
            history,
            chunk_bytes,
            files,
            total_bytes,
        })
    }

    /// Which checkpoint it is.
    pub fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// The last entry that the checkpoint contains.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Who wrote the log up to there.
    pub fn history(&self) -> &EpochHistory {
        &self.history
    }

    /// Size of a chunk in bytes.
    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// The files.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Bytes in all files.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// All chunks, file by file.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef> + '_ {
        let files = (0u32..).zip(&self.files);
        files.flat_map(|(file, entry)| (0..entry.digests.len() as u32).map(move |chunk| ChunkRef { file, chunk }))
    }

    /// Offset of a chunk in its file and its length, both in bytes; `None` if there is no such chunk.
    pub fn range(&self, at: ChunkRef) -> Option<(u64, u32)> {
        let file = self.files.get(at.file as usize)?;
        file.digests.get(at.chunk as usize)?;
        let offset = u64::from(at.chunk) * u64::from(self.chunk_bytes);
        Some((offset, (file.size - offset).min(u64::from(self.chunk_bytes)) as u32))
    }

    /// Whether these bytes are the chunk.
    pub fn verify(&self, at: ChunkRef, bytes: &[u8]) -> bool {
        let expected = self
            .files
            .get(at.file as usize)
            .and_then(|file| file.digests.get(at.chunk as usize));
        let length = self.range(at).map(|(_, length)| length as usize);
        length == Some(bytes.len()) && expected == Some(&Digest::of(bytes))
    }
}

fn check_name(name: &str) -> Result<(), ManifestError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && name.bytes().all(plain);
    if good {
        Ok(())
    } else {
        Err(ManifestError::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EpochId;

    const CHUNK: u32 = CHUNK_BYTES_MIN;

    fn file(name: &str, size: u64) -> FileEntry {
        let digests = vec![Digest(0); size.div_ceil(u64::from(CHUNK)) as usize];
        FileEntry {
            name: name.into(),
            size,
            digests,
        }
    }

    fn manifest(files: Vec<FileEntry>) -> Result<Manifest, ManifestError> {
        let mut history = EpochHistory::new();
        history.begin(EpochId(1), 0);
        Manifest::new(SnapshotId(1), Position::new(1, 7), history, CHUNK, files)
    }

    #[test]
    fn names_cannot_lead_out_of_the_directory() {
        let bad = [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "a\\b",
            ".hidden",
            "a\0b",
            "é",
            "a b",
            "C:x",
        ];
        for name in bad {
            assert!(
                matches!(manifest(vec![file(name, 1)]), Err(ManifestError::Name(_))),
                "{name:?}"
            );
        }
        assert!(matches!(
            manifest(vec![file(&"x".repeat(256), 1)]),
            Err(ManifestError::Name(_))
        ));
        for name in [
            "CURRENT",
            "000012.sst",
            "MANIFEST-000004",
            "OPTIONS-000007",
            "a..b",
            &"x".repeat(255),
        ] {
            manifest(vec![file(name, 1)]).unwrap();
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let twice = vec![file("a.sst", 1), file("A.sst", 1)];
        assert!(matches!(manifest(twice), Err(ManifestError::Duplicate(_))));
        let mut short = file("a", 10_000);
        short.digests.pop();
        assert!(matches!(manifest(vec![short]), Err(ManifestError::DigestCount { .. })));
        let huge = FileEntry {
            name: "a".into(),
            size: u64::MAX,
            digests: Vec::new(),
        };
        assert!(matches!(manifest(vec![huge]), Err(ManifestError::DigestCount { .. })));

        let mut history = EpochHistory::new();
        history.begin(EpochId(1), 0);
        let make = |position, history, chunk| Manifest::new(SnapshotId(1), position, history, chunk, Vec::new());
        let at = Position::new(1, 7);
        assert!(matches!(make(at, history.clone(), 1), Err(ManifestError::ChunkSize(1))));
        assert!(matches!(
            make(Position::new(2, 7), history.clone(), CHUNK),
            Err(ManifestError::Position(_))
        ));
        assert!(matches!(
            make(at, EpochHistory::new(), CHUNK),
            Err(ManifestError::Position(_))
        ));
        history.begin(EpochId(2), 8);
        assert!(matches!(
            make(at, history.clone(), CHUNK),
            Err(ManifestError::Position(_))
        ));
        make(Position::new(1, 8), history, CHUNK).unwrap();
    }

    #[test]
    fn chunks_cover_the_files() {
        let chunk = u64::from(CHUNK);
        let manifest = manifest(vec![file("a", 0), file("b", chunk), file("c", 2 * chunk + 5)]).unwrap();
        let ranges: Vec<_> = manifest
            .chunks()
            .map(|at| (at.file, manifest.range(at).unwrap()))
            .collect();
        assert_eq!(
            ranges,
            [
                (1, (0, CHUNK)),
                (2, (0, CHUNK)),
                (2, (chunk, CHUNK)),
                (2, (2 * chunk, 5))
            ]
        );
        assert_eq!(manifest.total_bytes(), 3 * chunk + 5);
        assert_eq!(manifest.range(ChunkRef { file: 0, chunk: 0 }), None);
    }

    #[test]
    fn a_chunk_is_known_by_length_and_digest() {
        let mut entry = file("a", 3);
        entry.digests = vec![Digest::of(b"abc")];
        let manifest = manifest(vec![entry]).unwrap();
        let at = ChunkRef { file: 0, chunk: 0 };
        assert!(manifest.verify(at, b"abc"));
        assert!(!manifest.verify(at, b"abd"));
        assert!(!manifest.verify(at, b"ab"));
        assert!(!manifest.verify(ChunkRef { file: 1, chunk: 0 }, b"abc"));
    }
}
