//! One connection: what has been read and not been parsed, and what has not been written yet.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::BytesMut;
use haypile_config::Values;
use haypile_resp::{Limits, Parser};
use mio::net::TcpStream;

use super::tls::Session;
use crate::client::Client;
use crate::job::Job;

/// One connection: its socket, what has been read and not been parsed, what has not been written yet.
pub(super) struct Conn {
    pub(super) socket: TcpStream,
    /// It speaks TLS.
    pub(super) tls: Option<Box<Session>>,
    pub(super) client: Arc<Client>,
    /// Away while the partition or the pool has it.
    pub(super) job: Option<Box<Job>>,
    input: BytesMut,
    parser: Parser,
    /// The client has broken the protocol: nothing more is taken from it.
    parser_failed: bool,
    output: Vec<u8>,
    written: usize,
    /// Messages of pub/sub that came while the job was away: they stand behind the replies that it brings, as the
    /// confirmation of a subscription stands before what it lets in.
    held: Vec<u8>,
    /// The job waits for a key, and no reply is with it.
    waits: bool,
    /// The kernel may have more for us.
    pub(super) readable: bool,
    /// The kernel has told that the client sends nothing more, and does not tell it again.
    pub(super) end_told: bool,
    /// All that the client has sent is in the input: when that is done, the connection is closed.
    pub(super) ended: bool,
    /// The kernel may take more from us.
    writable: bool,
    /// Close once the output is written.
    pub(super) closing: bool,
    /// In the list of those with something to do.
    pub(super) queued: bool,
    /// When a blocked client gives up.
    pub(super) blocked_until: Option<Instant>,
    /// Since when the output is over the soft limit.
    soft_since: Option<Instant>,
}

/// What reading has found.
pub(super) enum ReadState {
    Open,
    Closed,
    /// The client has sent more than `client-query-buffer-limit` ahead.
    TooMuch,
    /// What came is not TLS, or not as it must be.
    Broken(rustls::Error),
}

/// Requests of one connection that are evaluated before others get their turn.
const REQUESTS_PER_ROUND: usize = 1024;
/// Unsent output above which a connection's requests wait: bounds what a client that does not read can pile up.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// Input above which a connection is not read while its requests are away: the rest stays in the kernel.
const INPUT_PAUSE_BYTES: usize = 1 << 20;
/// What a client may send ahead before it has given the password.
const STRANGER_INPUT_BYTES_MAX: usize = 1 << 20;
/// Buffers larger than this are given back when they are empty.
const KEEP_BYTES: usize = 64 << 10;

impl Conn {
    pub(super) fn new(socket: TcpStream, tls: Option<Box<Session>>, client: Arc<Client>, job: Box<Job>) -> Self {
        Conn {
            socket,
            tls,
            client,
            job: Some(job),
            input: BytesMut::new(),
            parser: Parser::new(),
            parser_failed: false,
            output: Vec::new(),
            written: 0,
            held: Vec::new(),
            waits: false,
            readable: true,
            end_told: false,
            ended: false,
            writable: true,
            closing: false,
            queued: false,
            blocked_until: None,
            soft_since: None,
        }
    }

    /// Reads what the kernel has, or as much as there is room for.
    pub(super) fn read(&mut self, scratch: &mut [u8], limit: usize, total: &mut u64) -> ReadState {
        let is_stranger = self.job.as_ref().is_some_and(|job| !job.session.authenticated);
        let limit = if is_stranger {
            limit.min(STRANGER_INPUT_BYTES_MAX)
        } else {
            limit
        };
        // What MULTI has queued is input that is still to be evaluated.
        let queued = self.client.multi_bytes.load(Ordering::Relaxed);
        while self.readable && !self.ended {
            if self.input.len() + queued >= limit {
                return ReadState::TooMuch;
            }
            if self.job.is_none() && self.input.len() >= INPUT_PAUSE_BYTES {
                break;
            }
            match self.socket.read(scratch) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    if let Some(tls) = &mut self.tls {
                        let before = self.input.len();
                        if let Err(error) = tls.open(&scratch[..n], &mut self.input) {
                            return ReadState::Broken(error);
                        }
                        *total += (self.input.len() - before) as u64;
                        self.ended = tls.has_ended();
                    } else {
                        *total += n as u64;
                        if self.input.capacity() - self.input.len() < n {
                            self.input.reserve(self.parser.wants().max(n));
                        }
                        self.input.extend_from_slice(&scratch[..n]);
                    }
                    // A short read has emptied the socket: the next event will tell of more. After the end there is none.
                    if n < scratch.len() && !self.end_told {
                        self.readable = false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return ReadState::Closed,
            }
        }
        self.client.query_bytes.store(self.input.len(), Ordering::Relaxed);
        ReadState::Open
    }

    /// Takes complete requests off the input and gives them to the job; true if there may be more of them. After a
    /// protocol error the client is told, and its connection closed.
    pub(super) fn parse_into(&mut self, values: &Values, job: &mut Job) -> bool {
        if self.input.is_empty() || self.parser_failed {
            return false;
        }
        let limits = Limits {
            bulk_bytes_max: values.proto_max_bulk_len as usize,
            authenticated: job.session.authenticated,
            ..Limits::default()
        };
        let before = job.requests.len();
        let parsed = self
            .parser
            .parse(&mut self.input, &limits, &mut job.requests, REQUESTS_PER_ROUND);
        let got = job.requests.len() - before;
        if let Err(error) = parsed
            && got == 0
        {
            self.parser_failed = true;
            job.reply.error(&format!("ERR {error}"));
            job.session.close = true;
            return false;
        }
        if self.input.is_empty() && self.input.capacity() > KEEP_BYTES {
            self.input = BytesMut::new();
        }
        self.client.query_bytes.store(self.input.len(), Ordering::Relaxed);
        got > 0 && !self.input.is_empty()
    }

    /// True if there is unparsed input.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// True if the client has ended, and what it sent before remains to be looked through.
    pub(super) fn has_last_word(&self) -> bool {
        self.ended && !self.closing && self.job.as_ref().is_some_and(|job| job.requests.is_empty())
    }

    /// Takes the replies of the job, which is at home.
    pub(super) fn output_from_job(&mut self) {
        let Some(job) = &mut self.job else { return };
        if job.reply.len() <= KEEP_BYTES {
            self.output.extend_from_slice(job.reply.buffer());
            job.reply.clear();
            return;
        }
        // A long reply is not copied, nor is its memory kept.
        let reply = job.reply.take();
        match self.output.is_empty() {
            true => self.output = reply,
            false => self.output.extend_from_slice(&reply),
        }
    }

    /// Adds to the output.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Adds a message of pub/sub.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.job.is_some() || self.waits {
            self.output.extend_from_slice(bytes);
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The job waits for a key: messages do not wait with it.
    pub(super) fn start_waiting(&mut self) {
        self.release_held();
        self.waits = true;
    }

    /// The job is back, and its replies are in the output: messages follow them.
    pub(super) fn release_held(&mut self) {
        self.waits = false;
        self.output.append(&mut self.held);
    }

    /// Bytes not written yet.
    pub(super) fn pending_output(&self) -> usize {
        let sealed = self.tls.as_ref().map_or(0, |tls| tls.unsent());
        self.output.len() - self.written + self.held.len() + sealed
    }

    /// True if the client has to read before more is done for it.
    pub(super) fn is_congested(&self) -> bool {
        self.pending_output() > OUTPUT_PAUSE_BYTES
    }

    /// The kernel says that it takes more.
    pub(super) fn set_writable(&mut self) {
        self.writable = true;
    }

    /// Writes what the kernel takes; false if the connection is broken.
    pub(super) fn write(&mut self, total: &mut u64) -> bool {
        if let Some(tls) = &mut self.tls {
            let before = self.written;
            let sealed = tls.seal(&self.output, &mut self.written, &mut self.socket, &mut self.writable);
            *total += (self.written - before) as u64;
            if sealed.is_err() {
                return false;
            }
        }
        while self.tls.is_none() && self.writable && self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(0) => return false,
                Ok(n) => {
                    self.written += n;
                    *total += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            if self.output.capacity() > KEEP_BYTES {
                self.output = Vec::new();
            }
        } else if self.written > OUTPUT_PAUSE_BYTES {
            self.output.drain(..self.written);
            self.written = 0;
        }
        self.client.output_bytes.store(self.pending_output(), Ordering::Relaxed);
        true
    }

    /// Says goodbye, as far as the protocol has a word for it and the socket takes it.
    pub(super) fn say_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end(&mut self.socket);
        }
    }

    /// True if the client has more unsent output than its class may have.
    pub(super) fn is_over_limit(&mut self, values: &Values, now: Instant) -> bool {
        let pending = self.pending_output() as u64;
        if pending == 0 {
            self.soft_since = None;
            return false;
        }
        let limits = &values.client_output_buffer_limit;
        let limit = if self.client.subscription_count() > 0 {
            limits.pubsub
        } else if self.client.monitors.load(Ordering::Relaxed) {
            limits.replica
        } else {
            limits.normal
        };
        if limit.hard_bytes > 0 && pending > limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || pending <= limit.soft_bytes {
            self.soft_since = None;
            return false;
        }
        let since = *self.soft_since.get_or_insert(now);
        now.duration_since(since).as_secs() >= limit.soft_seconds
    }
}
