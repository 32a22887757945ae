//! What can go wrong in the store, and what its caller should do then.

use std::path::PathBuf;

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The read needs a block that is not in memory, and the view may not wait for the disk.
    #[error("the block is not cached")]
    Cold,
    /// The state that was read keeps too much in memory: evaluate the command again, in a newer one.
    #[error("the read has taken too long while much was written; try again")]
    GivenUp,
    /// The disk is full.
    #[error("no space left for the store: {0}")]
    NoSpace(rocksdb::Error),
    /// Bytes on disk are not what was written.
    #[error("the store is corrupt: {0}; restore this directory from a replica or a backup")]
    Corrupt(String),
    /// The directory is another version's.
    #[error(
        "this directory was written by {} version, in format {found}, and format {read} is what is read here; run that \
         version to read it, or begin with an empty directory and copy the keys over from a server of that version",
        if .found < .read { "an earlier" } else { "a later" }
    )]
    Format {
        /// The format that it has.
        found: u8,
        /// The one that this version reads and writes.
        read: u8,
    },
    /// RocksDB refused or failed.
    #[error("cannot {verb} the store: {source}")]
    Rocks {
        /// What was attempted.
        verb: &'static str,
        /// RocksDB's own words.
        source: rocksdb::Error,
    },
    /// The file system refused or failed.
    #[error("cannot {verb} {path}: {source}")]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// A write was attempted through a view for reading: a command's spec lacks the write flag.
    #[error("a read-only view cannot be written to")]
    ReadOnlyView,
    /// One entry would create more collections than ids can tell apart.
    #[error("too many collections are created in one transaction")]
    IdsExhausted,
}

/// What the caller of a failed operation should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again where waiting for the disk is allowed.
    Cold,
    /// Refuse writes until there is room again.
    NoSpace,
    /// Stop using this store; a person has to look.
    Corrupt,
    /// Fail the request.
    Other,
}

impl StoreError {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::Cold => ErrorKind::Cold,
            StoreError::NoSpace(_) => ErrorKind::NoSpace,
            StoreError::Corrupt(_) => ErrorKind::Corrupt,
            _ => ErrorKind::Other,
        }
    }

    pub(crate) fn rocks(verb: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError {
        move |source| match source.kind() {
            // First: a write that RocksDB has stopped because the disk is full is "incomplete", too.
            _ if is_no_space(&source) => StoreError::NoSpace(source),
            rocksdb::ErrorKind::Incomplete => StoreError::Cold,
            rocksdb::ErrorKind::Corruption => StoreError::Corrupt(source.into_string()),
            _ => StoreError::Rocks { verb, source },
        }
    }
}

/// RocksDB reports a full disk as an IO error whose text carries the system's words.
pub(crate) fn is_no_space(error: &rocksdb::Error) -> bool {
    let text: &str = error.as_ref();
    text.contains("No space left") || text.contains("Space limit") || text.contains("NoSpace")
}
