//! The decoder does not panic or nest without bound, and makes the same of a reply however it is cut.
#![no_main]

use bytes::BytesMut;
use haypile_resp::client::{Decoder, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = decode(bytes);
    let mut decoder = Decoder::new();
    let mut buf = BytesMut::new();
    let mut taken = Ok(None);
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        buf.extend_from_slice(piece);
        taken = decoder.decode(&mut buf);
        if !matches!(taken, Ok(None)) {
            break;
        }
    }
    match whole {
        Ok(Some((value, _))) => assert_eq!(format!("{:?}", Ok::<_, ()>(Some(value))), format!("{taken:?}")),
        // It looks for the end before it looks at the values, so it may find out later that something is wrong.
        Ok(None) | Err(_) => assert!(!matches!(taken, Ok(Some(_)))),
    }
});
