//! The file `synced`: up to which entry the log was once known to be durable, and in which boot of the machine.
//!
//! It settles what a bad record with good ones after it means. While the machine has been up all along, the
//! page cache has lost nothing, so it is damage. After a power failure the pages that were written last may be
//! missing in any order; up to the watermark it is damage, past it nothing had been promised. The file is
//! written at most once a second and not synced, so what it says is a lower bound.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::disk::Disk;
use crate::error::OplogError;
use crate::format::{u32_at, u64_at};

const MAGIC: &[u8; 8] = b"HAYPSYNC";
const VERSION: u32 = 1;
const BYTES: usize = 64;
const NAME: &str = "synced";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) log_id: u64,
    pub(crate) generation: u64,
    /// Of the machine's boot; 0 = unknown.
    pub(crate) boot: u64,
    pub(crate) index: u64,
}

impl Watermark {
    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        for (at, word) in [self.log_id, self.generation, self.boot, self.index].iter().enumerate() {
            out[16 + at * 8..24 + at * 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<Watermark> {
        let intact = &bytes[..8] == MAGIC && crc32c::crc32c(&bytes[..60]) == u32_at(bytes, 60);
        (intact && u32_at(bytes, 8) == VERSION).then(|| Watermark {
            log_id: u64_at(bytes, 16),
            generation: u64_at(bytes, 24),
            boot: u64_at(bytes, 32),
            index: u64_at(bytes, 40),
        })
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct WatermarkFile {
    path: PathBuf,
    file: File,
}

impl WatermarkFile {
    /// Opens the file, or makes it. `None` for its content if it is new, or unreadable: the log does not depend
    /// on it, and is then judged as if the machine had been up all along.
    pub(crate) fn open(disk: &Disk) -> Result<(WatermarkFile, Option<Watermark>), OplogError> {
        let path = disk.path().join(NAME);
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = opened.map_err(|e| OplogError::io("open", &path, e))?;
        let mut bytes = [0; BYTES];
        let content = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Watermark::decode(&bytes),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Err(e) => return Err(OplogError::io("read", &path, e)),
        };
        Ok((WatermarkFile { path, file }, content))
    }

    pub(crate) fn write(&self, content: &Watermark) -> Result<(), OplogError> {
        let done = self.file.write_all_at(&content.encode(), 0);
        done.map_err(|e| OplogError::io("write to", &self.path, e))
    }

    /// Writes, and waits until the disk has it.
    pub(crate) fn write_durably(&self, disk: &Disk, content: &Watermark) -> Result<(), OplogError> {
        self.write(content)?;
        disk.sync_data(&self.file, &self.path)
    }
}

/// Identifies the time since the machine was started; 0 if the system does not tell.
pub(crate) fn boot() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return 0;
    };
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map_or(0, |id| (id >> 64) as u64 ^ id as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_survives_the_round_trip_and_no_flipped_bit() {
        let mark = Watermark {
            log_id: 1,
            generation: 2,
            boot: 3,
            index: 4,
        };
        let bytes = mark.encode();
        assert_eq!(Watermark::decode(&bytes), Some(mark));
        for bit in 0..BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Watermark::decode(&damaged), None, "bit {bit}");
        }
    }
}
