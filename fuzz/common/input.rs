//! Bytes as choices: what a fuzzer or a test gives is read as numbers, texts and decisions. When it is used up, all are 0.
#![allow(dead_code)] // each target uses its part

/// What is left of the bytes.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// True once nothing is left to choose by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// One of so many choices.
    pub fn choose(&mut self, choices: u8) -> u8 {
        self.byte() % choices
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Small as a rule, and sometimes at the edge of what a number can be.
    pub fn number(&mut self) -> u64 {
        match self.choose(8) {
            0..=4 => self.byte().into(),
            5 => u64::MAX - u64::from(self.byte()),
            6 => (1 << (self.byte() % 64)) + u64::from(self.byte() % 3),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// As [`Input::number`], and such that one more can be added to it.
    pub fn index(&mut self) -> u64 {
        self.number().min(1 << 62)
    }

    /// So many bytes, or what is left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece with its length before it, of 255 bytes at most unless it is the last.
    pub fn piece(&mut self) -> &'a [u8] {
        match self.byte() {
            255 => std::mem::take(&mut self.0),
            length => self.take(length.into()),
        }
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
