//! Random numbers for tests.

use crate::Random;

/// Xorshift (G. Marsaglia, 2003): the same seed, which is not 0, gives the same numbers. For tests only.
#[derive(Clone, Debug)]
pub struct XorShift(pub u64);

impl Random for XorShift {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
