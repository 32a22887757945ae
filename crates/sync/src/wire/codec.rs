//! How a message stands in a gRPC frame: with a checksum behind it.
//!
//! ```text
//! protocol buffers | CRC32C of them, u32 LE
//! ```
//!
//! TCP's own checksum has 16 bits and lets through one in some ten thousand packets that a broken switch or memory has
//! damaged. What a stream brings is logged as it is, for good, so that is not enough.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;
/// A buffer for encoding that has become larger is not kept.
const BUFFER_KEPT_BYTES: usize = 64 << 10;

/// Protocol buffers with checksums: `T` is sent and `U` received.
pub struct CheckedCodec<T, U>(PhantomData<fn() -> (T, U)>);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        CheckedCodec(PhantomData)
    }
}

impl<T, U> Codec for CheckedCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = CheckedEncoder<T>;
    type Decoder = CheckedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        CheckedEncoder {
            buffer: Vec::new(),
            message: PhantomData,
        }
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(PhantomData)
    }
}

/// See [`CheckedCodec`].
pub struct CheckedEncoder<T> {
    /// The frame's own buffer cannot be read.
    buffer: Vec<u8>,
    message: PhantomData<fn() -> T>,
}

impl<T: Message> Encoder for CheckedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, frame: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.buffer.clear();
        message
            .encode(&mut self.buffer)
            .map_err(|error| Status::internal(error.to_string()))?;
        frame.reserve(self.buffer.len() + CHECKSUM_BYTES);
        frame.put_slice(&self.buffer);
        frame.put_u32_le(crc32c::crc32c(&self.buffer));
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

/// See [`CheckedCodec`].
pub struct CheckedDecoder<U>(PhantomData<fn() -> U>);

impl<U: Message + Default> Decoder for CheckedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, frame: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let damaged = |cause: &str| Status::data_loss(format!("a message was damaged on its way: {cause}"));
        let length = frame
            .remaining()
            .checked_sub(CHECKSUM_BYTES)
            .ok_or_else(|| damaged("it has no checksum"))?;
        // A frame is in one piece.
        let Some((message, checksum)) = frame.chunk().split_at_checked(length) else {
            return Err(Status::internal("a frame in pieces"));
        };
        if crc32c::crc32c(message).to_le_bytes() != *checksum {
            return Err(damaged("its checksum is wrong"));
        }
        let message = U::decode(frame.take(length)).map_err(|error| Status::invalid_argument(error.to_string()))?;
        frame.advance(CHECKSUM_BYTES);
        Ok(Some(message))
    }
}
