//! A blocking connection to a server, and a pipelined way to send it much.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use haypile_resp::client::{Decoder, Value};

use crate::error::Error;
use crate::interrupt;
use crate::replies::Replies;

/// No reply takes longer, FLUSHALL of millions of keys included.
const REPLY_MAX: Duration = Duration::from_secs(300);
const READ_BYTES: usize = 64 << 10;
/// Commands sent before their replies are read. Both directions then fit into the socket buffers and the server's
/// own, so that neither side waits for the other for ever.
const PIPELINE_COMMANDS: u64 = 512;
/// No further command is added to a pipeline that has so many bytes.
const PIPELINE_BYTES: usize = 4 << 20;

/// One connection to a server on loopback.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    unread: BytesMut,
    chunk: Box<[u8]>,
}

impl Client {
    /// Connects to 127.0.0.1.
    pub fn connect(port: u16) -> Result<Self, Error> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_MAX))?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            unread: BytesMut::new(),
            chunk: vec![0; READ_BYTES].into(),
        })
    }

    /// Sends one command and waits for its reply, which may be an error reply.
    pub fn call(&mut self, words: &[&str]) -> Result<Value, Error> {
        let mut out = Vec::new();
        encode(&mut out, words);
        self.stream.write_all(&out)?;
        self.read()
    }

    /// As [`Self::call`], but an error reply is an error.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, Error> {
        let reply = self.call(words)?;
        refuse_error(&words.join(" "), reply)
    }

    /// Asks for an integer.
    pub fn integer(&mut self, words: &[&str]) -> Result<u64, Error> {
        let reply = self.ask(words)?;
        reply
            .as_i64()
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| Error::Reply {
                command: words.join(" "),
                reply: format!("{reply:?}"),
            })
    }

    /// A number that INFO must have.
    pub fn info(&mut self, field: &str) -> Result<u64, Error> {
        self.info_if_there(field)?.ok_or_else(|| Error::Reply {
            command: "INFO".into(),
            reply: format!("no number {field}"),
        })
    }

    /// A number that INFO may have.
    pub fn info_if_there(&mut self, field: &str) -> Result<Option<u64>, Error> {
        let reply = self.ask(&["INFO", "everything"])?;
        let text = String::from_utf8_lossy(reply.as_bytes().unwrap_or_default());
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(lines.find_map(|(name, value)| (name == field).then(|| value.parse().ok())?))
    }

    /// Sends `commands`, which are encoded and `count` in number, and waits until all have been answered; returns how
    /// long that took. An error reply is an error. Replies are only counted, so that long ones cost little here.
    pub fn time(&mut self, commands: &[u8], count: u64) -> Result<Duration, Error> {
        let (mut replies, mut awaited) = (Replies::default(), count);
        let start = Instant::now();
        self.stream.write_all(commands)?;
        while awaited > 0 {
            match self.stream.read(&mut self.chunk)? {
                0 => return Err(Error::Connection(std::io::ErrorKind::UnexpectedEof.into())),
                n => awaited = awaited.saturating_sub(replies.count(&self.chunk[..n])?),
            }
        }
        Ok(start.elapsed())
    }

    /// Sends `count` commands in a pipeline; `command` writes the i-th with [`encode`]. The first error reply ends it.
    pub fn pipeline(&mut self, count: u64, mut command: impl FnMut(u64, &mut Vec<u8>)) -> Result<(), Error> {
        let mut out = Vec::new();
        let mut next = 0;
        while next < count {
            interrupt::check()?;
            out.clear();
            let mut end = next;
            while end < count && end - next < PIPELINE_COMMANDS && out.len() < PIPELINE_BYTES {
                command(end, &mut out);
                end += 1;
            }
            self.stream.write_all(&out)?;
            for i in next..end {
                let reply = self.read()?;
                refuse_error(&format!("command {i} of the pipeline"), reply)?;
            }
            next = end;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Value, Error> {
        loop {
            if let Some(value) = self.decoder.decode(&mut self.unread)? {
                return Ok(value);
            }
            match self.stream.read(&mut self.chunk)? {
                0 => return Err(Error::Connection(std::io::ErrorKind::UnexpectedEof.into())),
                n => self.unread.extend_from_slice(&self.chunk[..n]),
            }
        }
    }
}

fn refuse_error(command: &str, reply: Value) -> Result<Value, Error> {
    match reply.as_error() {
        Some(text) => Err(Error::Reply {
            command: command.into(),
            reply: text.into(),
        }),
        None => Ok(reply),
    }
}

/// Appends one command to `out`.
pub fn encode(out: &mut Vec<u8>, words: &[impl AsRef<[u8]>]) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let word = word.as_ref();
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_on_the_wire() {
        let mut out = Vec::new();
        encode(&mut out, &["GET", "k"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
