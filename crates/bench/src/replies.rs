//! Counts replies in a stream without keeping them, which costs a client least.

use crate::error::Error;

/// The longest line between two CR LF that is kept; lengths, numbers and errors are shorter.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Where the reading of a stream of RESP2 replies has come to.
#[derive(Debug, Default)]
pub struct Replies {
    /// Values of the current reply that are still to come.
    open: u64,
    /// Bytes of a bulk string, and its line end, that are still to come.
    skip: usize,
    /// That bulk string is the last of a reply.
    skip_ends: bool,
    /// The part of a line that has come.
    line: Vec<u8>,
}

impl Replies {
    /// Reads on; returns how many replies have ended within `bytes`. An error reply is an error.
    pub fn count(&mut self, mut bytes: &[u8]) -> Result<u64, Error> {
        let mut ended = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip > 0 {
                return Ok(ended);
            }
            ended += u64::from(std::mem::take(&mut self.skip_ends));
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return match self.line.len() > LINE_BYTES_MAX {
                    true => Err(self.strange()),
                    false => Ok(ended),
                };
            };
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            match self.value()? {
                true if self.skip > 0 => self.skip_ends = true,
                true => ended += 1,
                false => {}
            }
            self.line.clear();
        }
    }

    /// Takes the line with which a value begins; whether that value is the last of a reply. A bulk string's bytes are
    /// still to be skipped then.
    fn value(&mut self) -> Result<bool, Error> {
        let (kind, rest) = self.line.split_first().ok_or_else(|| self.strange())?;
        let rest = str::from_utf8(rest).map_err(|_| self.strange())?.trim_end();
        let length = || rest.parse::<i64>().map_err(|_| self.strange());
        let values = match kind {
            b'+' | b':' => 0,
            b'$' => {
                // Minus one, and no bytes at all, when it is null.
                self.skip = usize::try_from(length()?).map_or(0, |length| length + 2);
                0
            }
            b'*' => u64::try_from(length()?).unwrap_or(0),
            b'-' => {
                return Err(Error::Reply {
                    command: "a command of the load".into(),
                    reply: rest.into(),
                });
            }
            _ => return Err(self.strange()),
        };
        // The value itself was one of those that were to come, unless it begins a reply.
        self.open = self.open.saturating_sub(1) + values;
        Ok(self.open == 0)
    }

    fn strange(&self) -> Error {
        Error::Reply {
            command: "a command of the load".into(),
            reply: String::from_utf8_lossy(&self.line[..self.line.len().min(100)]).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"+OK\r\n:12\r\n$-1\r\n*-1\r\n*0\r\n$3\r\n\n\r\n\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n$0\r\n\r\n*1\r\n*1\r\n:5\r\n";

    #[test]
    fn replies_are_counted_however_they_are_cut() {
        for size in 1..STREAM.len() {
            let mut replies = Replies::default();
            let counts = STREAM.chunks(size).map(|chunk| replies.count(chunk).unwrap());
            assert_eq!(counts.sum::<u64>(), 8, "in pieces of {size}");
            assert!(replies.open == 0 && replies.skip == 0 && !replies.skip_ends && replies.line.is_empty());
        }
    }

    #[test]
    fn a_reply_whose_bytes_are_missing_has_not_ended() {
        let mut replies = Replies::default();
        assert_eq!(replies.count(b"*2\r\n$1\r\na\r\n").unwrap(), 0);
        assert_eq!(replies.count(b"$2\r\nab\r").unwrap(), 0);
        assert_eq!(replies.count(b"\n:1\r\n").unwrap(), 2);
    }

    #[test]
    fn errors_are_errors() {
        let error = Replies::default().count(b"+OK\r\n-ERR no\r\n").unwrap_err().to_string();
        assert!(error.contains("ERR no"), "{error}");
        assert!(Replies::default().count(b"?\r\n").is_err());
        assert!(Replies::default().count(b"$x\r\n").is_err());
        assert!(Replies::default().count(b"\n").is_err());
    }
}
