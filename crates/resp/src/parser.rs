//! Takes commands off a connection's read buffer.
//!
//! A command is an array of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, or a line (see [`crate::inline`]).
//! As in Redis, the byte after a `\r` and the two bytes after an argument are taken to be the line's end unread.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use memchr::memchr;

use crate::error::ProtocolError;
use crate::inline;
use crate::number::parse_i64;
use crate::request::{Request, Spans};

/// What a client may ask for, in one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest argument, in bytes; Redis calls it `proto-max-bulk-len`. A whole command stays below 4 GiB.
    pub bulk_bytes_max: usize,
    /// The most arguments of a command, its name included.
    pub array_elements_max: usize,
    /// The longest inline command, and the longest line that announces a length, in bytes without its `\n`.
    pub inline_bytes_max: usize,
    /// A client that has yet to authenticate may send 10 arguments of 16384 bytes and no more.
    pub authenticated: bool,
}

impl Limits {
    /// The most arguments of a command before the client has authenticated.
    pub const UNAUTHENTICATED_ELEMENTS_MAX: usize = 10;
    /// The longest argument before the client has authenticated, in bytes.
    pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16384;
}

/// 512 MiB, 2^31 - 1 arguments as in Redis since 7.0, 64 KiB, authenticated. What so many arguments take is bounded by those
/// who give the parser its bytes, and nothing is reserved for arguments that have not arrived.
impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 << 20,
            array_elements_max: i32::MAX as usize,
            inline_bytes_max: 64 << 10,
            authenticated: true,
        }
    }
}

/// The parser of one connection. It remembers how far it has come in a command that has only partly arrived, so
/// bytes are looked at once however small the pieces they come in.
///
/// Between two calls the caller may only append to the buffer.
#[derive(Debug, Default)]
pub struct Parser {
    /// The arguments of the unfinished command, relative to its first byte, which is the buffer's first.
    spans: Spans,
    /// How many arguments are still to come; 0 between commands.
    elements_left: usize,
    /// The length of the next argument, once its header has been read.
    bulk: Option<usize>,
    /// Where in the unfinished command to go on.
    position: usize,
    /// Up to where the line at `position` has been searched in vain for its end.
    searched: usize,
    /// See [`Parser::wants`].
    wants: usize,
    /// The buffer begins with a part of a command.
    partial: bool,
    failed: Option<ProtocolError>,
    /// Start and end of the commands found in this call; empty between calls.
    found: Vec<(usize, usize)>,
}

enum Step {
    /// A command ends here.
    Command(usize),
    /// Nothing to execute up to here: an empty line or array.
    Nothing(usize),
    Incomplete,
}

/// A line that announces a length.
enum Line {
    Incomplete,
    TooLong,
    /// Complete. The number, if it is one, and where the next line begins.
    Complete(Option<i64>, usize),
}

/// As much is reserved for an argument that has not arrived, whatever it claims to be. Beyond that, reservations grow
/// with what has arrived, so a length that is a lie costs its teller at least half of what it costs us.
const UNSEEN_BYTES_MAX: usize = 64 << 10;

/// So many arguments are reserved on a client's word; for more, the list grows as they arrive.
const UNSEEN_ELEMENTS_MAX: usize = 64;

impl Parser {
    /// A parser for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up to `max_requests` complete commands off the front of `buf` and appends them to `out`. Bytes of an
    /// incomplete command, or of commands beyond `max_requests`, stay in `buf`.
    ///
    /// The commands share the bytes taken off, see [`Request`]. Empty arrays and empty lines are skipped.
    ///
    /// There may be more to take as long as a call adds something to `out`, even if fewer than `max_requests`:
    /// execute what has been added, then call again, until a call adds nothing. (With `limits.authenticated`
    /// unset a command beyond the limits is no error yet when the commands before it, an AUTH perhaps, have still to
    /// be executed.)
    ///
    /// # Errors
    /// When the bytes are not RESP or go beyond `limits`. Commands that came before are in `out` all the same. The
    /// connection is to be closed: every further call returns the same error.
    pub fn parse(
        &mut self,
        buf: &mut BytesMut,
        limits: &Limits,
        out: &mut VecDeque<Request>,
        max_requests: usize,
    ) -> Result<(), ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let first = out.len();
        self.wants = 0;
        self.partial = false;
        let mut start = 0;
        let mut result = Ok(());
        while self.found.len() < max_requests {
            match self.step(&mut buf[start..], limits) {
                Ok(Step::Command(len)) => {
                    out.push_back(Request::new(bytes::Bytes::new(), std::mem::take(&mut self.spans)));
                    self.found.push((start, start + len));
                    start += len;
                }
                Ok(Step::Nothing(len)) => start += len,
                Ok(Step::Incomplete) => {
                    self.partial = buf.len() > start;
                    break;
                }
                Err(error) => {
                    if error.lifted_by_authentication() && !self.found.is_empty() {
                        self.partial = true;
                    } else {
                        self.failed = Some(error.clone());
                        result = Err(error);
                    }
                    break;
                }
            }
        }
        if self.found.is_empty() {
            buf.advance(start);
        } else {
            let taken = buf.split_to(start).freeze();
            for (request, (start, end)) in out.range_mut(first..).zip(self.found.drain(..)) {
                request.set_frame(taken.slice(start..end));
            }
        }
        result
    }

    /// How many bytes are worth reserving in the buffer before the next read, because an argument that has begun to
    /// arrive says that so many are to come; 0 when there is no such argument. Never more than has arrived
    /// of the command already, or 64 KiB if that is more, so that memory follows bytes and not promises.
    pub fn wants(&self) -> usize {
        self.wants
    }

    /// Whether the last call ended between two commands (of which there may be more in the buffer, if it was
    /// stopped by `max_requests`), rather than within one.
    pub fn idle(&self) -> bool {
        !self.partial
    }

    /// Reads on in the command at the beginning of `data`.
    fn step(&mut self, data: &mut [u8], limits: &Limits) -> Result<Step, ProtocolError> {
        if self.elements_left == 0 {
            match data.first() {
                None => return Ok(Step::Incomplete),
                Some(b'*') => {}
                Some(_) => return self.inline(data, limits),
            }
            let (number, next) = match self.line(data, 0, limits) {
                Line::Incomplete => return Ok(Step::Incomplete),
                Line::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
                Line::Complete(number, next) => (number, next),
            };
            let count = number.ok_or(ProtocolError::InvalidMultibulkLength)?;
            if count <= 0 {
                return Ok(Step::Nothing(next));
            }
            let count = usize::try_from(count).map_err(|_| ProtocolError::InvalidMultibulkLength)?;
            if count > limits.array_elements_max {
                return Err(ProtocolError::InvalidMultibulkLength);
            }
            if !limits.authenticated && count > Limits::UNAUTHENTICATED_ELEMENTS_MAX {
                return Err(ProtocolError::UnauthenticatedMultibulkLength);
            }
            self.spans.reserve(count.min(UNSEEN_ELEMENTS_MAX));
            self.elements_left = count;
            self.position = next;
        }
        self.elements(data, limits)
    }

    /// Reads on in the arguments of the command at the beginning of `data`.
    fn elements(&mut self, data: &[u8], limits: &Limits) -> Result<Step, ProtocolError> {
        while self.elements_left > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => match self.bulk_header(data, limits)? {
                    Some(len) => len,
                    None => return Ok(Step::Incomplete),
                },
            };
            let end = self.position + len + 2;
            if data.len() < end {
                self.bulk = Some(len);
                self.wants = (end - data.len()).min(data.len().max(UNSEEN_BYTES_MAX));
                return Ok(Step::Incomplete);
            }
            // `bulk_header` has seen to it that these fit.
            self.spans.push((self.position as u32, len as u32));
            self.bulk = None;
            self.position = end;
            self.elements_left -= 1;
        }
        let end = self.position;
        self.position = 0;
        Ok(Step::Command(end))
    }

    /// Reads `$<length>\r\n` at `position` and moves behind it.
    fn bulk_header(&mut self, data: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let start = self.position;
        let (number, next) = match self.line(data, start, limits) {
            Line::Incomplete => return Ok(None),
            Line::TooLong => return Err(ProtocolError::TooBigBulkCount),
            Line::Complete(number, next) => (number, next),
        };
        if data[start] != b'$' {
            return Err(ProtocolError::ExpectedBulk(data[start]));
        }
        let len = number
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(ProtocolError::InvalidBulkLength)?;
        let end = next.checked_add(len).and_then(|n| n.checked_add(2));
        if len > limits.bulk_bytes_max || end.is_none_or(|end| u32::try_from(end).is_err()) {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if !limits.authenticated && len > Limits::UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.position = next;
        Ok(Some(len))
    }

    /// Reads the number in the line that begins at `start`, after the line's first byte.
    #[inline]
    fn line(&mut self, data: &[u8], start: usize, limits: &Limits) -> Line {
        match short_number(data, start + 1) {
            Some((number, next)) => {
                self.searched = 0;
                Line::Complete(Some(number), next)
            }
            None => self.any_line(data, start, limits),
        }
    }

    /// [`Parser::line`] for lines that are incomplete, long or wrong.
    #[cold]
    fn any_line(&mut self, data: &[u8], start: usize, limits: &Limits) -> Line {
        let from = self.searched.max(start);
        let found = memchr(b'\r', &data[from..]).map(|i| from + i);
        let end = found.unwrap_or(data.len());
        if end - start > limits.inline_bytes_max {
            return Line::TooLong;
        }
        self.searched = end;
        match found {
            Some(end) if end + 1 < data.len() => {
                self.searched = 0;
                // When the `\r` is the line's first byte there is nothing before it.
                let number = data.get(start + 1..end).and_then(parse_i64);
                Line::Complete(number, end + 2)
            }
            _ => Line::Incomplete,
        }
    }

    /// Reads a line of words at the beginning of `data`.
    fn inline(&mut self, data: &mut [u8], limits: &Limits) -> Result<Step, ProtocolError> {
        let found = memchr(b'\n', &data[self.searched..]).map(|i| self.searched + i);
        let end = found.unwrap_or(data.len());
        // Offsets have 32 bits, whatever the limit says.
        if end > limits.inline_bytes_max.min(u32::MAX as usize) {
            return Err(ProtocolError::TooBigInline);
        }
        self.searched = end;
        if found.is_none() {
            return Ok(Step::Incomplete);
        }
        self.searched = 0;
        let line = &mut data[..end];
        let line = if let [line @ .., b'\r'] = line { line } else { line };
        inline::split(line, &mut self.spans)?;
        Ok(if self.spans.is_empty() {
            Step::Nothing(end + 1)
        } else {
            Step::Command(end + 1)
        })
    }
}

/// The number at `start` and where the next line begins, if it is a plain number of up to 9 digits and its line is
/// complete. That is nearly always so, and a loop over few bytes is quicker than a search for the line's end.
#[inline]
fn short_number(data: &[u8], start: usize) -> Option<(i64, usize)> {
    let digits = data.get(start..)?;
    let mut number = 0;
    let mut len = 0;
    loop {
        let byte = *digits.get(len)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let leading_zero = digits[0] == b'0' && len > 1;
            let complete = byte == b'\r' && len > 0 && !leading_zero && digits.len() > len + 1;
            return complete.then_some((i64::from(number), start + len + 2));
        }
        if len == 9 {
            return None;
        }
        number = number * 10 + u32::from(digit);
        len += 1;
    }
}
