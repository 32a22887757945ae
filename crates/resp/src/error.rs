//! What can be wrong with bytes that ought to be RESP.

/// The peer does not speak the protocol; nothing that follows on this connection can be trusted.
///
/// A server answers `-ERR ` followed by this error's text and closes the connection. The texts are those of Redis 7.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count after `*` is not a number or above [`Limits::array_elements_max`](crate::Limits::array_elements_max).
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// An argument does not begin with `$`; the byte that was there instead.
    #[error("Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// The length after `$` is not a number, negative or above [`Limits::bulk_bytes_max`](crate::Limits::bulk_bytes_max),
    /// or the command would be longer than 4 GiB.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A line without `*` is longer than [`Limits::inline_bytes_max`](crate::Limits::inline_bytes_max).
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// The line that begins with `*` does not end.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// The line that ought to begin with `$` does not end.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// More arguments than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An inline command with a quote that is not closed, or is closed in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A reply (not a request) that is not RESP; what was wrong with it.
    #[error("Protocol error: invalid reply: {0}")]
    InvalidReply(&'static str),
}

impl ProtocolError {
    /// Whether the same bytes may be fine once the client has authenticated.
    pub(crate) fn lifted_by_authentication(&self) -> bool {
        matches!(
            self,
            Self::UnauthenticatedMultibulkLength | Self::UnauthenticatedBulkLength
        )
    }
}

/// The byte as a character; a line's end would break the reply, so it becomes a space as in Redis.
fn printable(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        byte => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_redis() {
        assert_eq!(
            ProtocolError::ExpectedBulk(b'x').to_string(),
            "Protocol error: expected '$', got 'x'"
        );
        assert_eq!(
            ProtocolError::ExpectedBulk(b'\r').to_string(),
            "Protocol error: expected '$', got ' '"
        );
        assert_eq!(
            ProtocolError::TooBigMultibulkCount.to_string(),
            "Protocol error: too big mbulk count string"
        );
    }
}
