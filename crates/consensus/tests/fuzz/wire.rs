//! Any bytes as a message between members of a group: they are none, or one that goes out again as what it has come in as.

use bytes::Bytes;
use haypile_consensus::Message;

/// The message, if it is one.
pub fn read(bytes: &[u8]) -> Option<Message> {
    let message = Message::decode(Bytes::copy_from_slice(bytes)).ok()?;
    let again = message.encode().expect("a kind that came in goes out");
    let once_more = Message::decode(Bytes::from(again.clone())).map(|message| message.encode());
    assert_eq!(once_more, Ok(Some(again)));
    // It goes into the log.
    assert!(!message.to_string().contains(['\r', '\n']));
    assert!(message.entry_bytes() <= bytes.len());
    Some(message)
}
