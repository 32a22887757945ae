//! TLS on a client's connection: bytes of the socket on one side, those of Redis' protocol on the other.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::net::TcpStream;
use rustls::{Error, ServerConfig, ServerConnection};

/// Encrypted bytes that may wait for the socket to take them. What a client is owed beyond that stays as it is, where
/// `client-output-buffer-limit` counts it.
const SEALED_BYTES_MAX: usize = 64 << 10;

/// One connection's TLS.
pub(super) struct Session {
    tls: ServerConnection,
    began: Instant,
    /// The client has said that it will send nothing more.
    ended: bool,
    /// Bytes, as they were before encryption, of what the socket has not taken entirely.
    unsent: usize,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>, now: Instant) -> Result<Self, Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Ok(Session {
            tls,
            began: now,
            ended: false,
            unsent: 0,
        })
    }

    /// Takes bytes of the socket, and adds what they say to `input`. All of them are taken: nothing is left that another
    /// event would have to fetch.
    ///
    /// # Errors
    /// They are not TLS, or not as the configuration wants it. [`Session::seal`] still sends the alert.
    pub(super) fn open(&mut self, mut bytes: &[u8], input: &mut BytesMut) -> Result<(), Error> {
        while !bytes.is_empty() && !self.ended {
            self.tls
                .read_tls(&mut bytes)
                .map_err(|error| Error::General(error.to_string()))?;
            let state = self.tls.process_new_packets()?;
            self.ended = state.peer_has_closed();
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.tls.reader();
            while left > 0 {
                let Ok(chunk) = reader.fill_buf() else { break };
                let n = chunk.len();
                input.extend_from_slice(chunk);
                reader.consume(n);
                left = left.saturating_sub(n);
            }
        }
        Ok(())
    }

    /// Encrypts `output` from `written` on, and sends it, as far as the socket takes it.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn seal(
        &mut self,
        output: &[u8],
        written: &mut usize,
        socket: &mut TcpStream,
        writable: &mut bool,
    ) -> io::Result<()> {
        loop {
            while *writable && self.tls.wants_write() {
                match self.tls.write_tls(socket) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => *writable = false,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if !self.tls.wants_write() {
                self.unsent = 0;
            }
            if !*writable || self.tls.is_handshaking() || *written == output.len() {
                return Ok(());
            }
            let n = self.tls.writer().write(&output[*written..])?;
            *written += n;
            self.unsent += n;
        }
    }

    /// Bytes that the socket has yet to take, as they were before encryption; those of TLS itself count as one.
    pub(super) fn unsent(&self) -> usize {
        match self.tls.wants_write() {
            true => self.unsent.max(1),
            false => 0,
        }
    }

    /// True if the client sends nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// True until client and server have agreed.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// True if that takes too long.
    pub(super) fn is_late(&self, now: Instant, timeout: Duration) -> bool {
        self.is_handshaking() && now.duration_since(self.began) >= timeout
    }

    /// Tells the client that nothing more comes, if the socket takes that at once.
    pub(super) fn end(&mut self, socket: &mut TcpStream) {
        if !self.is_handshaking() {
            self.tls.send_close_notify();
        }
        // Who is not there any more does not miss it.
        let _ = self.tls.write_tls(socket);
    }
}
