//! The file `ballot`: what a replica of a group must not forget.
//!
//! It has two places, 4096 bytes apart and so in different pages of any disk. What is written goes to the one that does not have the
//! newest ballot that is known to be on the disk, so that this one is whole whatever a crash interrupts. All numbers are
//! little-endian.
//! ```text
//!  0  8  magic "HAYPBALL"
//!  8  4  version, 1
//! 12  4  reserved, zero
//! 16  8  number of the writing; the higher one counts
//! 24  8  term
//! 32  8  for whom this replica has voted in it; 0 = nobody
//! 40  8  index up to which entries were known to be committed; may be too low
//! 48 12  reserved, zero
//! 60  4  CRC-32C of bytes 0 to 59
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use haypile_consensus::Ballot;
use haypile_types::Position;

use crate::PartitionError;

const NAME: &str = "ballot";
const MAGIC: &[u8; 8] = b"HAYPBALL";
const VERSION: u32 = 1;
const BYTES: usize = 64;
const PLACES: [u64; 2] = [0, 4096];

/// The open file.
#[derive(Debug)]
pub(crate) struct BallotFile {
    path: PathBuf,
    file: File,
    writing: u64,
    /// Which place has the newest ballot that is on the disk.
    durable: usize,
}

impl BallotFile {
    /// True if the partition in `dir` is, or was, a member of a group.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(NAME).exists()
    }

    /// Opens the file of the partition in `dir`, or makes it, durably. Gives what it says.
    ///
    /// # Errors
    /// The file; or neither of its places is whole: a replica that has forgotten its vote must not vote again.
    pub(crate) fn open(dir: &Path) -> Result<(BallotFile, Ballot), PartitionError> {
        let path = dir.join(NAME);
        let fresh = !path.exists();
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = opened.map_err(io("open", &path))?;
        let mut ballot_file = BallotFile {
            path,
            file,
            writing: 0,
            durable: 0,
        };
        if fresh {
            ballot_file.save(Ballot::default(), true)?;
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(io("sync", dir))?;
            return Ok((ballot_file, Ballot::default()));
        }
        let mut newest = None;
        for (place, offset) in PLACES.into_iter().enumerate() {
            let mut bytes = [0; BYTES];
            if ballot_file.file.read_exact_at(&mut bytes, offset).is_ok()
                && let Some((writing, ballot)) = decode(&bytes)
                && newest.is_none_or(|(newest, _, _)| writing > newest)
            {
                newest = Some((writing, place, ballot));
            }
        }
        let Some((writing, place, ballot)) = newest else {
            return Err(PartitionError::Identity {
                path: ballot_file.path,
                reason: "no ballot in it is whole: this replica cannot know how it has voted; remove its directory and let it \
                         be filled again as another replica"
                    .into(),
            });
        };
        // It may be in the page cache only.
        ballot_file.file.sync_data().map_err(io("sync", &ballot_file.path))?;
        (ballot_file.writing, ballot_file.durable) = (writing, place);
        Ok((ballot_file, ballot))
    }

    /// Makes the file that goes with a checkpoint of what is committed up to `position`, in `incoming`, for the replica that has its data in
    /// `dir`: it is the same replica and keeps its word. Nothing happens if the partition in `dir` is no replica of a group. Who calls this
    /// syncs the directory.
    ///
    /// # Errors
    /// A file, or no place of the one in `dir` is whole.
    pub(crate) fn carry_over(dir: &Path, incoming: &Path, position: Position) -> Result<(), PartitionError> {
        if !BallotFile::is_in(dir) {
            return Ok(());
        }
        let (_, ballot) = BallotFile::open(dir)?;
        let left_over = incoming.join(NAME);
        match std::fs::remove_file(&left_over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &left_over)(error)),
            _ => {}
        }
        BallotFile::open(incoming)?.0.save(ballot.after(position), true)
    }

    /// Writes the ballot, and waits until the disk has it if that is wanted.
    ///
    /// # Errors
    /// The file.
    pub(crate) fn save(&mut self, ballot: Ballot, sync: bool) -> Result<(), PartitionError> {
        let writing = self.writing + 1;
        let place = 1 - self.durable;
        let written = self.file.write_all_at(&encode(writing, ballot), PLACES[place]);
        written.map_err(io("write to", &self.path))?;
        self.writing = writing;
        if sync {
            self.file.sync_data().map_err(io("sync", &self.path))?;
            self.durable = place;
        }
        Ok(())
    }
}

fn encode(writing: u64, ballot: Ballot) -> [u8; BYTES] {
    let mut out = [0; BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    for (at, word) in [writing, ballot.term, ballot.vote, ballot.commit].iter().enumerate() {
        out[16 + at * 8..24 + at * 8].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8; BYTES]) -> Option<(u64, Ballot)> {
    let word = |at: usize| {
        let bytes = bytes[at..].first_chunk().copied();
        bytes.map_or(0, u64::from_le_bytes)
    };
    let short = |at: usize| word(at) as u32;
    let intact = &bytes[..8] == MAGIC && crc32c::crc32c(&bytes[..60]).to_le_bytes() == bytes[60..];
    (intact && short(8) == VERSION).then(|| {
        let ballot = Ballot {
            term: word(24),
            vote: word(32),
            commit: word(40),
        };
        (word(16), ballot)
    })
}

fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PartitionError {
    let path = path.to_owned();
    move |source| PartitionError::Io { verb, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALLOT: Ballot = Ballot {
        term: 7,
        vote: 3,
        commit: 99,
    };

    #[test]
    fn what_was_saved_last_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, ballot) = BallotFile::open(dir.path()).unwrap();
        assert_eq!(ballot, Ballot::default());
        for commit in 0..5 {
            file.save(Ballot { commit, ..BALLOT }, commit % 2 == 0).unwrap();
            let (_, ballot) = BallotFile::open(dir.path()).unwrap();
            assert_eq!(ballot, Ballot { commit, ..BALLOT });
        }
    }

    #[test]
    fn a_torn_writing_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = BallotFile::open(dir.path()).unwrap();
        file.save(BALLOT, true).unwrap();
        for commit in 100..103 {
            // What is not synced never takes the place of what is.
            file.save(Ballot { commit, ..BALLOT }, false).unwrap();
            let place = PLACES[1 - file.durable];
            file.file.write_all_at(&[0xff; 20], place + 20).unwrap();
            assert_eq!(BallotFile::open(dir.path()).unwrap().1, BALLOT);
        }
    }

    #[test]
    fn a_file_without_a_whole_ballot_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), [0; 5000]).unwrap();
        let error = BallotFile::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no ballot in it is whole"), "{error}");
    }

    #[test]
    fn no_flipped_bit_is_taken_for_a_ballot() {
        let bytes = encode(5, BALLOT);
        assert_eq!(decode(&bytes), Some((5, BALLOT)));
        for bit in 0..BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }
}
