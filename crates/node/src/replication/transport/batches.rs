//! The entries of a batch, as bytes: put together and compressed by the source, cut into messages, and taken apart by the follower.
//!
//! ```text
//! entry   term u64 LE | index u64 LE | timestamp u64 LE | length u32 LE | effects
//! ```

use bytes::{Bytes, BytesMut};
use haypile_oplog::{EntryHeader, OplogError, PAYLOAD_BYTES_MAX, Reader};
use haypile_partition::ReplicatedEntry;
use haypile_sync::message::{Batch, Compression, FrameBody};
use haypile_sync::{ErrorKind, Failure};
use haypile_types::Position;
use zstd_safe::{CCtx, DCtx};

/// Bytes of an entry's head.
const HEAD_BYTES: usize = 28;
/// Bytes of entries that a follower takes in one batch: one entry of the largest size, or many that are smaller.
const BATCH_BYTES_MAX: u64 = (PAYLOAD_BYTES_MAX + HEAD_BYTES) as u64 + (16 << 20);
/// Bytes of entries in one message; a batch that has more comes in several.
const PART_BYTES: usize = 4 << 20;
/// Fewer bytes are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 256;
/// Zstandard's fastest ordinary level: the stream must keep up with the writer.
const ZSTD_LEVEL: i32 = 1;

/// The source's end: reads batches from the log.
pub(in crate::replication) struct Packer {
    /// If the follower has asked for it.
    zstd: Option<CCtx<'static>>,
}

impl Packer {
    pub(in crate::replication) fn new(compression: Compression) -> Self {
        let zstd = match compression {
            Compression::None => None,
            Compression::Zstd => CCtx::try_create(),
        };
        Packer { zstd }
    }

    /// Entries `from` to `to`, as many as fit into `bytes` and at least one.
    ///
    /// # Errors
    /// The log's.
    pub(in crate::replication) fn read(
        &mut self,
        reader: &mut Reader,
        from: u64,
        to: u64,
        bytes: u64,
    ) -> Result<Batch, OplogError> {
        let (mut first, mut last) = (None, Position::ZERO);
        let mut buffer = Vec::new();
        while last.index < to && (buffer.len() as u64) < bytes {
            let Some(entry) = reader.next_borrowed()? else { break };
            put(&mut buffer, entry.header, entry.payload);
            first = first.or(Some(entry.header.position));
            last = entry.header.position;
        }
        let first = first.filter(|first| first.index == from).ok_or(OplogError::Diverged {
            wanted: from,
            last: last.index,
        })?;
        let entries_bytes = buffer.len() as u64;
        let (compression, entries) = match self.compress(&buffer) {
            Some(compressed) => (Compression::Zstd, compressed),
            None => (Compression::None, buffer),
        };
        Ok(Batch {
            first,
            last,
            compression,
            entries_bytes,
            entries: entries.into(),
        })
    }

    /// `None` if that makes it no smaller.
    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let zstd = self.zstd.as_mut().filter(|_| bytes.len() >= COMPRESSED_BYTES_MIN)?;
        // What does not fit into this is no gain.
        let mut compressed = vec![0; bytes.len() - bytes.len() / 16];
        let length = zstd.compress(&mut compressed[..], bytes, ZSTD_LEVEL).ok()?;
        compressed.truncate(length);
        Some(compressed)
    }
}

fn put(buffer: &mut Vec<u8>, header: EntryHeader, payload: &[u8]) {
    buffer.reserve(HEAD_BYTES + payload.len());
    buffer.extend_from_slice(&header.position.term.to_le_bytes());
    buffer.extend_from_slice(&header.position.index.to_le_bytes());
    buffer.extend_from_slice(&header.timestamp.to_le_bytes());
    buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// The messages that a frame takes: one, unless it is a long batch.
pub(in crate::replication) fn cut(frame: FrameBody) -> impl Iterator<Item = FrameBody> {
    let (mut rest, last) = match frame {
        FrameBody::Batch(mut batch) => {
            let whole = batch.entries.len();
            let end = batch
                .entries
                .split_off(whole.saturating_sub(1) / PART_BYTES * PART_BYTES);
            let rest = std::mem::replace(&mut batch.entries, end);
            (rest, FrameBody::Batch(batch))
        }
        other => (Bytes::new(), other),
    };
    let parts = std::iter::from_fn(move || {
        let part = rest.split_to(rest.len().min(PART_BYTES));
        (!part.is_empty()).then_some(FrameBody::Part(part))
    });
    parts.chain(std::iter::once(last))
}

/// The follower's end: puts together what came in parts.
#[derive(Default)]
pub(in crate::replication) struct Unpacker {
    parts: BytesMut,
    zstd: Option<DCtx<'static>>,
}

impl Unpacker {
    /// A piece of the next batch has come.
    ///
    /// # Errors
    /// It is longer than any batch.
    pub(in crate::replication) fn part(&mut self, entries: &[u8]) -> Result<(), Failure> {
        if (self.parts.len() + entries.len()) as u64 > BATCH_BYTES_MAX {
            return Err(protocol("a batch is longer than any may be"));
        }
        self.parts.extend_from_slice(entries);
        Ok(())
    }

    /// Something else has come.
    ///
    /// # Errors
    /// Parts came before it.
    pub(in crate::replication) fn no_part(&self) -> Result<(), Failure> {
        match self.parts.is_empty() {
            true => Ok(()),
            false => Err(protocol("a batch was begun and not ended")),
        }
    }

    /// The batch has come, or its end: gives its entries.
    ///
    /// # Errors
    /// They are not what the batch says.
    pub(in crate::replication) fn batch(&mut self, batch: Batch) -> Result<Entries, Failure> {
        let (first, last) = (batch.first.index, batch.last.index);
        let mut bytes = batch.entries;
        if !self.parts.is_empty() {
            self.part(&bytes)?;
            bytes = std::mem::take(&mut self.parts).freeze();
        }
        if batch.entries_bytes > BATCH_BYTES_MAX {
            return Err(protocol("a batch is longer than any may be"));
        }
        if batch.compression == Compression::Zstd {
            bytes = self.decompress(&bytes, batch.entries_bytes as usize)?;
        }
        let entries = Entries { bytes };
        let (wanted, found) = (last.saturating_sub(first) + 1, entries.iter().count() as u64);
        if found != wanted || entries.bytes.len() as u64 != batch.entries_bytes {
            return Err(protocol(&format!("a batch of {wanted} entries holds {found}")));
        }
        Ok(entries)
    }

    fn decompress(&mut self, compressed: &[u8], length: usize) -> Result<Bytes, Failure> {
        let bad = |code| {
            protocol(&format!(
                "a batch cannot be decompressed: {}",
                zstd_safe::get_error_name(code)
            ))
        };
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            None => self
                .zstd
                .insert(DCtx::try_create().ok_or_else(|| Failure::new(ErrorKind::Internal, "no memory"))?),
        };
        let mut bytes = vec![0; length];
        let length = zstd.decompress(&mut bytes[..], compressed).map_err(bad)?;
        bytes.truncate(length);
        Ok(bytes.into())
    }
}

fn protocol(cause: &str) -> Failure {
    Failure::new(ErrorKind::Protocol, cause)
}

/// The entries of a batch, all of them whole.
pub(in crate::replication) struct Entries {
    bytes: Bytes,
}

impl Entries {
    /// The entries in order, up to the first that is cut off, of which there is none in a batch that was checked.
    pub(in crate::replication) fn iter(&self) -> impl Iterator<Item = ReplicatedEntry<'_>> + Clone {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || take(&mut rest))
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<ReplicatedEntry<'a>> {
    let mut number = || {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        *rest = tail;
        Some(u64::from_le_bytes(*head))
    };
    let (term, index, timestamp) = (number()?, number()?, number()?);
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (payload, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(ReplicatedEntry {
        position: Position::new(term, index),
        timestamp,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use haypile_types::Random;

    use super::*;

    fn batch(payloads: &[Vec<u8>], compression: Compression) -> Batch {
        let (mut buffer, mut last) = (Vec::new(), Position::new(1, 0));
        for payload in payloads {
            last = Position::new(1, last.index + 1);
            let header = EntryHeader {
                position: last,
                timestamp: 7,
            };
            put(&mut buffer, header, payload);
        }
        let entries_bytes = buffer.len() as u64;
        let (compression, entries) = match Packer::new(compression).compress(&buffer) {
            Some(compressed) => (Compression::Zstd, compressed),
            None => (Compression::None, buffer),
        };
        Batch {
            first: Position::new(1, 1),
            last,
            compression,
            entries_bytes,
            entries: entries.into(),
        }
    }

    /// The payloads that arrive.
    fn carry(batch: Batch) -> Result<(usize, Vec<Vec<u8>>), Failure> {
        let (mut unpacker, mut messages) = (Unpacker::default(), 0);
        for frame in cut(FrameBody::Batch(batch)) {
            messages += 1;
            match frame {
                FrameBody::Part(part) => unpacker.part(&part)?,
                FrameBody::Batch(batch) => {
                    let entries = unpacker.batch(batch)?;
                    unpacker.no_part()?;
                    return Ok((messages, entries.iter().map(|entry| entry.payload.to_vec()).collect()));
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("no batch");
    }

    #[test]
    fn short_and_long_batches_arrive_with_and_without_compression() {
        let mut random = crate::random::SplitMix64::new(1);
        let random: Vec<u8> = (0..9 << 17).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        for compression in [Compression::None, Compression::Zstd] {
            for payloads in [
                vec![b"x".to_vec()],
                vec![vec![b'y'; 1000]; 1000],
                vec![b"a".to_vec(), random.clone(), b"b".to_vec()],
                vec![random[..PART_BYTES - HEAD_BYTES].to_vec()],
                vec![random[..2 * PART_BYTES - HEAD_BYTES].to_vec()],
            ] {
                let made = batch(&payloads, compression);
                let wanted = made.entries.len().div_ceil(PART_BYTES);
                assert_eq!(carry(made).unwrap(), (wanted, payloads));
            }
        }
        let made = batch(&[vec![b'y'; 1 << 20]], Compression::Zstd);
        assert!(made.entries.len() < 1 << 12, "it is compressed");
    }

    #[test]
    fn what_is_not_as_the_batch_says_is_an_error() {
        let good = batch(&[b"x".to_vec(), vec![b'y'; 1000]], Compression::Zstd);
        for bad in [
            Batch {
                last: Position::new(1, 3),
                ..good.clone()
            },
            Batch {
                entries_bytes: good.entries_bytes + 1,
                ..good.clone()
            },
            Batch {
                entries_bytes: 5,
                ..good.clone()
            },
            Batch {
                entries_bytes: u64::MAX,
                ..good.clone()
            },
            Batch {
                entries: good.entries.slice(1..),
                ..good.clone()
            },
            Batch {
                compression: Compression::None,
                ..good.clone()
            },
        ] {
            assert_eq!(carry(bad).unwrap_err().kind, ErrorKind::Protocol);
        }
        let mut unpacker = Unpacker::default();
        unpacker.part(b"x").unwrap();
        assert!(unpacker.no_part().is_err());
    }
}
