//! The messages' encoding: protocol buffers, `proto/haypile/sync/v1/sync.proto`.
//!
//! [`v1`] is generated (`make proto`): the messages as they are sent, and the stubs of client and server, without a
//! transport. Nothing else in this crate uses it. What comes from the wire becomes a message of the core through
//! `try_from`, which checks everything that can be checked without knowing more; what goes out through `from`.
//!
//! An answer that is missing, a oneof that is not set and an enum's zero value are errors: nothing that nobody has set
//! can be taken for an answer. A message that was damaged on its way is an error too: [`CheckedCodec`].

mod basics;
mod codec;
mod copy;
mod session;
mod stream;
mod try_sync;

/// The generated code.
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]
#[path = "generated.rs"]
pub mod v1;

pub use codec::{CheckedCodec, CheckedDecoder, CheckedEncoder};

use crate::copy::ManifestError;
use crate::message::Refusal;
use crate::{ErrorKind, Failure, HistoryError};

/// Bytes of a message that a peer must be ready to take: a chunk of the largest size, or a manifest of some terabytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Why a message is none of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An enum with a value that this version does not know, or with none.
    #[error("{0} has no known value: {1}")]
    Unknown(&'static str, i32),
    /// An id that does not have 16 bytes.
    #[error("{0} has {1} bytes instead of 16")]
    IdLength(&'static str, usize),
    /// Bytes that are not a whole number of digests.
    #[error("the digests of {0} have {1} bytes")]
    Digests(String, usize),
    /// What is no name of a host.
    #[error("{0} is no name and no address of a host: {1:?}")]
    Host(&'static str, String),
    /// A number that is out of bounds.
    #[error("{0} is out of bounds: {1}")]
    Bounds(&'static str, u64),
    /// Epochs that make no history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Files that make no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Failure {
        Failure::new(ErrorKind::Protocol, error.to_string())
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Refusal {
        Refusal::Invalid(error.to_string())
    }
}
