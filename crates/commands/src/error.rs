//! What a command says when it gives no reply of its own, with Redis' words.

use std::borrow::Cow;

use haypile_resp::Reply;
use haypile_store::StoreError;
use haypile_store::packed::PackedError;
use haypile_store::row::Kind;

/// Why a command gave no reply of its own.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An error reply: code and text, as Redis words it.
    #[error("{0}")]
    Reply(Cow<'static, str>),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing to return yet: the client waits for one of the keys. Only commands whose spec has
    /// [`crate::Flags::BLOCKING`] give this, and only where [`crate::Cx::may_block`] allows it.
    #[error("the command waits")]
    Block(Block),
}

impl From<PackedError> for CommandError {
    fn from(error: PackedError) -> Self {
        CommandError::Store(error.into())
    }
}

/// What a blocked client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// User keys: the command is evaluated again when one of them becomes ready.
    pub keys: Vec<Vec<u8>>,
    /// The type that a key must have to serve the client; `None` of a command that waits for no key.
    pub kind: Option<Kind>,
    /// Milliseconds until it gives up; `None` = never.
    pub timeout_ms: Option<u64>,
    /// What it then replies.
    pub on_timeout: OnTimeout,
}

/// The reply of a blocking command that has waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// A null array (`*-1` in RESP2).
    NullArray,
    /// The integer 0: none of the replicas that WAIT waited for.
    Zero,
}

impl OnTimeout {
    /// Writes it.
    pub fn write(self, reply: &mut Reply) {
        match self {
            OnTimeout::NullArray => reply.null_array(),
            OnTimeout::Zero => reply.integer(0),
        }
    }
}

/// What a command's evaluation gives; its reply is in [`crate::Cx::reply`].
pub type Outcome = Result<(), CommandError>;

impl CommandError {
    /// An error reply.
    pub fn reply(text: impl Into<Cow<'static, str>>) -> Self {
        CommandError::Reply(text.into())
    }
}

/// `WRONGTYPE`, Redis' words.
pub const WRONG_TYPE: CommandError = CommandError::Reply(Cow::Borrowed(
    "WRONGTYPE Operation against a key holding the wrong kind of value",
));
/// `ERR syntax error`.
pub const SYNTAX: CommandError = CommandError::Reply(Cow::Borrowed("ERR syntax error"));
/// An argument is not an integer of 64 bits.
pub const NOT_INTEGER: CommandError = CommandError::Reply(Cow::Borrowed("ERR value is not an integer or out of range"));
/// An argument is not a floating-point number.
pub const NOT_FLOAT: CommandError = CommandError::Reply(Cow::Borrowed("ERR value is not a valid float"));
/// A key that has to exist does not.
pub const NO_SUCH_KEY: CommandError = CommandError::Reply(Cow::Borrowed("ERR no such key"));
/// An index is outside of the value.
pub const OUT_OF_RANGE: CommandError = CommandError::Reply(Cow::Borrowed("ERR index out of range"));
/// A count must not be negative.
pub const NOT_POSITIVE: CommandError =
    CommandError::Reply(Cow::Borrowed("ERR value is out of range, must be positive"));

impl From<CommandError> for Outcome {
    fn from(error: CommandError) -> Self {
        Err(error)
    }
}
