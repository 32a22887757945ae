//! The format of these files.
//!
//! ```text
//! "HAYPLOST" | format u32 LE = 1 | first term u64 LE, index u64 LE | last term u64 LE, index u64 LE
//! entries: length u32 LE | CRC32C u32 LE of what follows | term u64 LE, index u64 LE | timestamp u64 LE | effects
//! ```
//!
//! The head says which entries were to be kept, so that a file that a crash has cut short is known as such. The length
//! is that of the effects; the timestamp is the entry's hybrid logical clock, microseconds since the epoch.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use haypile_types::Position;

const MAGIC: &[u8; 8] = b"HAYPLOST";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 4 * 8;
const ENTRY_HEAD_BYTES: usize = 4 + 4 + 3 * 8;

/// Why such a file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum DivergedError {
    /// The operating system.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("{0} is not a file of diverged entries")]
    Other(PathBuf),
    /// Of a version that this program does not know.
    #[error("{path} has format {format}, and this program reads {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It is damaged or cut short.
    #[error("{cause} ({})", match .after { Some(at) => format!("the last entry that could be read is {at}"), None => "no entry could be read".into() })]
    Damaged {
        /// How.
        cause: String,
        /// The last entry before the damage.
        after: Option<Position>,
    },
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stood in the log.
    pub position: Position,
    /// When it was written, microseconds since the epoch.
    pub timestamp: u64,
    /// What it did.
    pub effects: Vec<u8>,
}

/// Writes a file.
pub struct Writer {
    file: BufWriter<File>,
}

impl Writer {
    /// Makes a file for the entries from `first` to `last`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create(path: &Path, first: Position, last: Position) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&FORMAT.to_le_bytes())?;
        for number in [first.term, first.index, last.term, last.index] {
            file.write_all(&number.to_le_bytes())?;
        }
        Ok(Writer { file })
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// The operating system's.
    pub fn push(&mut self, position: Position, timestamp: u64, effects: &[u8]) -> io::Result<()> {
        let length = u32::try_from(effects.len()).map_err(io::Error::other)?;
        let head = entry_head(position, timestamp);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head), effects);
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&crc.to_le_bytes())?;
        self.file.write_all(&head)?;
        self.file.write_all(effects)
    }

    /// Waits until the disk has all.
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish(self) -> io::Result<()> {
        self.file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }
}

fn entry_head(position: Position, timestamp: u64) -> [u8; 24] {
    let mut head = [0; 24];
    head[..8].copy_from_slice(&position.term.to_le_bytes());
    head[8..16].copy_from_slice(&position.index.to_le_bytes());
    head[16..].copy_from_slice(&timestamp.to_le_bytes());
    head
}

/// Reads a file.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes that are left of the file.
    left: u64,
    first: Position,
    last: Position,
    at: Option<Position>,
}

impl Reader {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// It is not such a file.
    pub fn open(path: &Path) -> Result<Self, DivergedError> {
        let io = |source| DivergedError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut file = BufReader::new(file);
        let mut head = [0; HEAD_BYTES];
        let read = file.read_exact(&mut head);
        if read.is_err() || &head[..8] != MAGIC {
            return Err(match read {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => io(error),
                _ => DivergedError::Other(path.to_owned()),
            });
        }
        let format = u32_at(&head, 8);
        if format != FORMAT {
            return Err(DivergedError::Format {
                path: path.to_owned(),
                format,
            });
        }
        Ok(Reader {
            path: path.to_owned(),
            file,
            left: length.saturating_sub(HEAD_BYTES as u64),
            first: Position::new(u64_at(&head, 12), u64_at(&head, 20)),
            last: Position::new(u64_at(&head, 28), u64_at(&head, 36)),
            at: None,
        })
    }

    /// The first entry that was to be kept, and the last.
    pub fn bounds(&self) -> (Position, Position) {
        (self.first, self.last)
    }

    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// The file, or what is in it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, DivergedError> {
        if self.left == 0 {
            return match self.at.is_some_and(|at| at.index >= self.last.index) {
                true => Ok(None),
                false => Err(self.damaged(format!(
                    "the file is cut short: its entries should reach up to {}",
                    self.last
                ))),
            };
        }
        let cut = "the file is cut short within an entry";
        if self.left < ENTRY_HEAD_BYTES as u64 {
            return Err(self.damaged(cut));
        }
        let head: [u8; ENTRY_HEAD_BYTES] = self.read()?;
        let length = u64::from(u32_at(&head, 0));
        self.left -= ENTRY_HEAD_BYTES as u64;
        if self.left < length {
            return Err(self.damaged(cut));
        }
        // No more than the file has.
        let mut effects = vec![0; length as usize];
        self.file.read_exact(&mut effects).map_err(|source| self.io(source))?;
        self.left -= length;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[8..]), &effects);
        if crc != u32_at(&head, 4) {
            return Err(self.damaged("the next entry is damaged: its checksum is wrong"));
        }
        let position = Position::new(u64_at(&head, 8), u64_at(&head, 16));
        self.at = Some(position);
        Ok(Some(Entry {
            position,
            timestamp: u64_at(&head, 24),
            effects,
        }))
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], DivergedError> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|source| self.io(source))?;
        Ok(bytes)
    }

    fn io(&self, source: io::Error) -> DivergedError {
        DivergedError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, cause: impl Into<String>) -> DivergedError {
        DivergedError::Damaged {
            cause: cause.into(),
            after: self.at,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(index: u64) -> Position {
        Position::new(2, index)
    }

    fn write(path: &Path) {
        let mut file = Writer::create(path, position(7), position(8)).unwrap();
        file.push(position(7), 70, b"seven").unwrap();
        file.push(position(8), 80, b"").unwrap();
        file.finish().unwrap();
    }

    fn read(path: &Path) -> (Vec<Entry>, Option<String>) {
        let mut file = match Reader::open(path) {
            Ok(file) => file,
            Err(error) => return (Vec::new(), Some(error.to_string())),
        };
        let mut entries = Vec::new();
        loop {
            match file.next_entry() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return (entries, None),
                Err(error) => return (entries, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write(&path);
        let (entries, error) = read(&path);
        assert_eq!(error, None);
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].position, entries[0].timestamp), (position(7), 70));
        assert_eq!(
            (&entries[0].effects[..], &entries[1].effects[..]),
            (&b"seven"[..], &b""[..])
        );
        assert_eq!(Reader::open(&path).unwrap().bounds(), (position(7), position(8)));
    }

    #[test]
    fn format_1_still_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut bytes = b"HAYPLOST\x01\0\0\0".to_vec();
        for number in [2u64, 7, 2, 7] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([2, 0, 0, 0, 0x13, 0xc0, 0x35, 0x39]);
        for number in [2u64, 7, 70] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"ab");
        std::fs::write(&path, &bytes).unwrap();
        let (entries, error) = read(&path);
        assert_eq!((entries.len(), error), (1, None));
    }

    #[test]
    fn wherever_it_is_cut_or_damaged_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (entries, error) = read(&path);
            assert!(error.is_some() && entries.len() < 2, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            // The first of the two bounds is only shown.
            let (_, error) = read(&path);
            assert!(error.is_some() || (12..HEAD_BYTES).contains(&at), "{at}");
        }
        std::fs::write(&path, b"something else, and long enough for a head").unwrap();
        assert!(read(&path).1.unwrap().contains("is not a file of diverged entries"));
    }
}
