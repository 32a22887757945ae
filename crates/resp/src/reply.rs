//! Writes replies.

use crate::float::format_double;

/// The version of the protocol that a connection speaks; HELLO changes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// What every client speaks at first.
    Resp2,
    /// Has types of its own for maps, sets, doubles, booleans and pushes.
    Resp3,
}

/// Writes replies into a byte buffer, in the connection's protocol version.
///
/// Each method writes one element. A reply is one element, or an aggregate's header followed by its elements; that
/// the numbers match is up to the caller.
#[derive(Debug)]
pub struct Reply {
    buf: Vec<u8>,
    version: Version,
    /// Where the headers not yet written belong, in order of their making.
    deferred: Vec<(u64, usize)>,
    deferred_made: u64,
}

/// The place of an aggregate's header that is written once its elements have been, because their number was not
/// known before. See [`Reply::deferred_len`].
#[derive(Debug)]
#[must_use = "an aggregate without a header is no reply"]
pub struct DeferredLen(u64);

impl Reply {
    /// An empty buffer.
    pub fn new(version: Version) -> Self {
        Self {
            buf: Vec::new(),
            version,
            deferred: Vec::new(),
            deferred_made: 0,
        }
    }

    /// The version that is written from here on.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Changes the version for what is written from here on.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// All that has been written and not taken.
    pub fn buffer(&self) -> &[u8] {
        &self.buf
    }

    /// Takes what has been written and leaves the buffer empty. Deferred headers not written by then never will be.
    pub fn take(&mut self) -> Vec<u8> {
        self.deferred.clear();
        std::mem::take(&mut self.buf)
    }

    /// Bytes written and not taken.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing has been written since the last [`take`](Self::take) or [`clear`](Self::clear).
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Throws away what has been written; keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.deferred.clear();
    }

    /// Throws away what has been written beyond `len` bytes, and the places of deferred headers there; keeps the
    /// memory. A place at `len` itself stays, as it may be that of an aggregate around what is thrown away.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
        self.deferred.retain(|&(_, position)| position <= len);
    }

    /// `+text`. Line ends within it become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// `-text`. The text begins with the error's code, `ERR no such key`. Line ends at its end are left out, others
    /// become spaces.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.trim_end_matches(['\r', '\n']));
    }

    /// `:value`
    pub fn integer(&mut self, value: i64) {
        match value {
            0..=9 => self.buf.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']),
            _ => self.header_text(b':', itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A bulk string: any bytes.
    pub fn bulk(&mut self, data: &[u8]) {
        self.buf.reserve(data.len() + HEADER_BYTES_MAX + 2);
        self.header(b'$', data.len());
        self.buf.extend_from_slice(data);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A bulk string of text.
    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A bulk string that is an integer.
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Text for people. `format` has three characters, `txt` or `mkd`; RESP2 gets a bulk string without it.
    pub fn verbatim(&mut self, format: &str, text: &str) {
        debug_assert_eq!(format.len(), 3);
        if self.version == Version::Resp2 {
            return self.bulk_str(text);
        }
        self.header(b'=', format.len() + 1 + text.len());
        self.buf.extend_from_slice(format.as_bytes());
        self.buf.push(b':');
        self.buf.extend_from_slice(text.as_bytes());
        self.buf.extend_from_slice(b"\r\n");
    }

    /// The absent value; in RESP2 an absent bulk string.
    pub fn null(&mut self) {
        self.resp2_or_resp3(b"$-1\r\n", b"_\r\n");
    }

    /// The absent value where an array would be; RESP3 has one for both.
    pub fn null_array(&mut self) {
        self.resp2_or_resp3(b"*-1\r\n", b"_\r\n");
    }

    /// The header of `n` elements in order.
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n);
    }

    /// The header of `n` pairs of key and value; in RESP2 an array of twice as many.
    pub fn map(&mut self, n: usize) {
        let (prefix, n) = self.map_header(n);
        self.header(prefix, n);
    }

    /// The header of `n` elements without order; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        let prefix = self.set_prefix();
        self.header(prefix, n);
    }

    /// The header of a message of `n` elements that is not the answer to a command; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        let prefix = if self.version == Version::Resp2 { b'*' } else { b'>' };
        self.header(prefix, n);
    }

    /// A double, see [`format_double`]; in RESP2 a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => self.header_text(b',', text.as_bytes()),
        }
    }

    /// True or false; in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match value {
            true => self.resp2_or_resp3(b":1\r\n", b"#t\r\n"),
            false => self.resp2_or_resp3(b":0\r\n", b"#f\r\n"),
        }
    }

    /// An integer of any size, in decimal digits; in RESP2 a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            Version::Resp2 => self.bulk_str(digits),
            Version::Resp3 => self.line(b'(', digits),
        }
    }

    /// Bytes that are RESP already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Marks the place of an aggregate's header. Its elements are written next, then one of the `set_deferred_*`
    /// methods writes the header. Aggregates may nest, and their headers may be written in any order.
    ///
    /// Writing the header moves the elements by its length, so where their number is known beforehand the direct
    /// methods are better.
    pub fn deferred_len(&mut self) -> DeferredLen {
        self.deferred_made += 1;
        self.deferred.push((self.deferred_made, self.buf.len()));
        DeferredLen(self.deferred_made)
    }

    /// Writes the header of an array of `n` elements. Nothing if [`truncate`](Self::truncate) has removed its place.
    pub fn set_deferred_array(&mut self, place: DeferredLen, n: usize) {
        self.set_deferred(place, b'*', n);
    }

    /// Writes the header of a map of `n` pairs. Nothing if [`truncate`](Self::truncate) has removed its place.
    pub fn set_deferred_map(&mut self, place: DeferredLen, n: usize) {
        let (prefix, n) = self.map_header(n);
        self.set_deferred(place, prefix, n);
    }

    /// Writes the header of a set of `n` elements. Nothing if [`truncate`](Self::truncate) has removed its place.
    pub fn set_deferred_set(&mut self, place: DeferredLen, n: usize) {
        let prefix = self.set_prefix();
        self.set_deferred(place, prefix, n);
    }

    fn set_deferred(&mut self, place: DeferredLen, prefix: u8, n: usize) {
        let Some(index) = self.deferred.iter().rposition(|&(id, _)| id == place.0) else {
            return;
        };
        let (_, position) = self.deferred.remove(index);
        let end = self.buf.len();
        self.header(prefix, n);
        let header_len = self.buf.len() - end;
        self.buf[position..].rotate_right(header_len);
        // Places made later lie behind this header, even at the same position: there it is the outer one.
        for (_, later) in &mut self.deferred[index..] {
            *later += header_len;
        }
    }

    fn map_header(&self, n: usize) -> (u8, usize) {
        if self.version == Version::Resp2 {
            (b'*', n * 2)
        } else {
            (b'%', n)
        }
    }

    fn set_prefix(&self) -> u8 {
        if self.version == Version::Resp2 { b'*' } else { b'~' }
    }

    fn resp2_or_resp3(&mut self, resp2: &[u8], resp3: &[u8]) {
        self.buf
            .extend_from_slice(if self.version == Version::Resp2 { resp2 } else { resp3 });
    }

    /// A prefix and a length. Short ones, the most of all, are written at one go.
    fn header(&mut self, prefix: u8, n: usize) {
        match n {
            0..=9 => self.buf.extend_from_slice(&[prefix, b'0' + n as u8, b'\r', b'\n']),
            10..=99 => {
                let digits = [prefix, b'0' + (n / 10) as u8, b'0' + (n % 10) as u8, b'\r', b'\n'];
                self.buf.extend_from_slice(&digits);
            }
            _ => self.header_text(prefix, itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    fn header_text(&mut self, prefix: u8, text: &[u8]) {
        self.buf.reserve(text.len() + 3);
        self.buf.push(prefix);
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, prefix: u8, text: &str) {
        let start = self.buf.len();
        self.header_text(prefix, text.as_bytes());
        let end = self.buf.len() - 2;
        for byte in &mut self.buf[start..end] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
}

/// A prefix, 20 digits and a line end.
const HEADER_BYTES_MAX: usize = 23;

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply)) -> (String, String) {
        let text = |version| {
            let mut reply = Reply::new(version);
            write(&mut reply);
            String::from_utf8(reply.take()).unwrap()
        };
        (text(Version::Resp2), text(Version::Resp3))
    }

    fn same(write: impl Fn(&mut Reply), expected: &str) {
        assert_eq!(both(write), (expected.to_owned(), expected.to_owned()));
    }

    fn differ(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
        assert_eq!(both(write), (resp2.to_owned(), resp3.to_owned()));
    }

    #[test]
    fn what_both_versions_have() {
        same(Reply::ok, "+OK\r\n");
        same(|r| r.simple("a\r\nb"), "+a  b\r\n");
        same(|r| r.error("ERR bad\nthing\r\n"), "-ERR bad thing\r\n");
        for n in [0, 9, 10, -1, 99, 100, i64::MAX, i64::MIN] {
            same(|r| r.integer(n), &format!(":{n}\r\n"));
            same(|r| r.bulk_int(n), &format!("${}\r\n{n}\r\n", n.to_string().len()));
        }
        for n in [0, 9, 10, 99, 100, 12345] {
            same(|r| r.array(n), &format!("*{n}\r\n"));
            same(|r| r.bulk(&vec![b'x'; n]), &format!("${n}\r\n{}\r\n", "x".repeat(n)));
        }
        same(|r| r.raw(b":1\r\n"), ":1\r\n");
    }

    #[test]
    fn what_the_versions_write_differently() {
        differ(Reply::null, "$-1\r\n", "_\r\n");
        differ(Reply::null_array, "*-1\r\n", "_\r\n");
        differ(|r| r.map(3), "*6\r\n", "%3\r\n");
        differ(|r| r.set(3), "*3\r\n", "~3\r\n");
        differ(|r| r.push(3), "*3\r\n", ">3\r\n");
        differ(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        differ(|r| r.boolean(false), ":0\r\n", "#f\r\n");
        differ(|r| r.double(3.5), "$3\r\n3.5\r\n", ",3.5\r\n");
        differ(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        differ(|r| r.verbatim("txt", "hello"), "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n");
        differ(|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
    }

    #[test]
    fn deferred_headers_nest() {
        let nested = |r: &mut Reply| {
            r.integer(7);
            let outer = r.deferred_len();
            let first = r.deferred_len();
            r.bulk(b"a");
            r.set_deferred_set(first, 1);
            let second = r.deferred_len();
            r.set_deferred_map(second, 0);
            r.set_deferred_array(outer, 12);
        };
        differ(
            nested,
            ":7\r\n*12\r\n*1\r\n$1\r\na\r\n*0\r\n",
            ":7\r\n*12\r\n~1\r\n$1\r\na\r\n%0\r\n",
        );
        let outer_first = |r: &mut Reply| {
            let outer = r.deferred_len();
            let inner = r.deferred_len();
            r.ok();
            let last = r.deferred_len();
            r.set_deferred_array(outer, 1);
            r.set_deferred_array(last, 3);
            r.set_deferred_array(inner, 2);
        };
        same(outer_first, "*1\r\n*2\r\n+OK\r\n*3\r\n");
    }

    #[test]
    fn truncating_forgets_deferred_headers() {
        let mut reply = Reply::new(Version::Resp2);
        reply.ok();
        let outer = reply.deferred_len();
        let mark = reply.len();
        reply.integer(1);
        let inner = reply.deferred_len();
        reply.integer(2);
        reply.truncate(mark);
        reply.error("ERR no");
        reply.set_deferred_array(inner, 1);
        reply.set_deferred_array(outer, 1);
        assert_eq!(reply.buffer(), b"+OK\r\n*1\r\n-ERR no\r\n");
        reply.clear();
        assert!(reply.is_empty());
        reply.set_version(Version::Resp3);
        assert_eq!(reply.version(), Version::Resp3);
        reply.null();
        assert_eq!(reply.len(), 3);
    }
}
