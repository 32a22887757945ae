//! A parsed command.

use std::ops::Index;

use bytes::Bytes;
use smallvec::SmallVec;

/// Offset and length of each argument within the frame, in bytes. Six fit without an allocation of their own.
pub(crate) type Spans = SmallVec<[(u32, u32); 6]>;

/// One command as it was received: its name and its arguments.
///
/// Arguments are slices of the received bytes, so a clone copies nothing. The price: a request keeps the whole read
/// buffer that it arrived in alive, which may hold other commands too. That is right for commands that run at
/// once. One that is kept (queued by MULTI, or blocked) pins at most the read buffer of its connection; where that
/// matters, keep [`Request::detached`] instead.
#[derive(Clone, Debug)]
pub struct Request {
    frame: Bytes,
    spans: Spans,
}

impl Request {
    pub(crate) fn new(frame: Bytes, spans: Spans) -> Self {
        Self { frame, spans }
    }

    /// Gives a request, of which only the spans were known so far, the bytes they point into.
    pub(crate) fn set_frame(&mut self, frame: Bytes) {
        self.frame = frame;
    }

    /// A request of the program's own making, with its own copy of the arguments.
    ///
    /// # Panics
    /// When the arguments are longer than 4 GiB together.
    pub fn from_args(args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut frame = Vec::new();
        let mut spans = Spans::new();
        for arg in args {
            let arg = arg.as_ref();
            let start = frame.len();
            frame.extend_from_slice(arg);
            assert!(u32::try_from(frame.len()).is_ok(), "a request of more than 4 GiB");
            spans.push((start as u32, arg.len() as u32));
        }
        Self {
            frame: Bytes::from(frame),
            spans,
        }
    }

    /// A copy that holds its own bytes and no others.
    pub fn detached(&self) -> Self {
        Self {
            frame: Bytes::copy_from_slice(&self.frame),
            spans: self.spans.clone(),
        }
    }

    /// The number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a name. The parser makes no such request.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`; 0 is the command's name.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        self.spans.get(i).map(|&span| self.slice(span))
    }

    /// All arguments in order, the command's name first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + Clone {
        self.spans.iter().map(|&span| self.slice(span))
    }

    /// Argument `i` as bytes that share the frame (and keep the read buffer alive, see [`Request`]).
    ///
    /// # Panics
    /// When there is no argument `i`.
    pub fn bytes(&self, i: usize) -> Bytes {
        let (start, len) = self.spans[i];
        self.frame.slice(start as usize..start as usize + len as usize)
    }

    /// The bytes this command takes up: its frame as received, and its list of arguments when that is a long one.
    pub fn size(&self) -> usize {
        let spans = if self.spans.spilled() {
            self.spans.capacity() * size_of::<(u32, u32)>()
        } else {
            0
        };
        self.frame.len() + spans
    }

    #[inline]
    fn slice(&self, (start, len): (u32, u32)) -> &[u8] {
        &self.frame[start as usize..start as usize + len as usize]
    }
}

/// `request[i]` is argument `i`; panics when there is none.
impl Index<usize> for Request {
    type Output = [u8];

    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.slice(self.spans[i])
    }
}

/// Equal when the arguments are, however they were received.
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Request {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_arguments() {
        let request = Request::from_args(["SET", "", "value"]);
        assert_eq!(request.len(), 3);
        assert!(!request.is_empty());
        assert_eq!(&request[0], b"SET");
        assert_eq!(request.get(1), Some(&b""[..]));
        assert_eq!(request.get(3), None);
        assert_eq!(request.bytes(2), "value");
        assert_eq!(request.iter().rev().collect::<Vec<_>>(), [&b"value"[..], b"", b"SET"]);
        assert_eq!(request.iter().len(), 3);
        assert_eq!(request.size(), 8);
        assert_eq!(request.detached(), request);
    }

    #[test]
    fn a_clone_and_a_slice_share_the_bytes() {
        let request = Request::from_args(["GET", "key"]);
        let clone = request.clone();
        assert_eq!(clone[1].as_ptr(), request[1].as_ptr());
        assert_eq!(request.bytes(1).as_ptr(), request[1].as_ptr());
        assert_ne!(request.detached()[1].as_ptr(), request[1].as_ptr());
    }
}
