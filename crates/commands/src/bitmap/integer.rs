//! Integers of 1 to 64 bits at any bit of a string.

/// The type of an integer: `i1` to `i64`, `u1` to `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) signed: bool,
    /// 1 to 64; 63 at most if it is not signed.
    pub(super) bits: u32,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Its lowest bits stay.
    Wrap,
    /// The greatest or least that fits takes its place.
    Saturate,
    /// Nothing is done.
    Fail,
}

impl Width {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (signed, digits) = match text {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return None,
        };
        let bits = u32::try_from(haypile_resp::parse_i64(digits)?).ok()?;
        let most = if signed { 64 } else { 63 };
        (1..=most).contains(&bits).then_some(Width { signed, bits })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    fn bounds(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The number that these lowest bits are.
    fn value(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        match self.signed {
            true => (bits << unused) as i64 >> unused,
            false => (bits & self.mask()) as i64,
        }
    }

    /// Makes a number fit; `None` if it does not and that is a failure.
    pub(super) fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        if (min..=max).contains(&number) {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value(number as u64)),
            Overflow::Saturate => Some(number.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }

    /// The number as its type understands it when it is written: negative ones are great ones without a sign.
    pub(super) fn literal(self, number: i64) -> i128 {
        match self.signed {
            true => i128::from(number),
            false => i128::from(number as u64),
        }
    }

    /// Reads the integer at a bit offset; what lies beyond the end is zero.
    pub(super) fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let shift = WINDOW_BITS - (offset % 8) as u32 - self.bits;
        self.value((window(bytes, offset) >> shift) as u64)
    }

    /// Writes the lowest bits of a number. What lies beyond the end is not written.
    pub(super) fn write(self, bytes: &mut [u8], offset: u64, number: i64) {
        let shift = WINDOW_BITS - (offset % 8) as u32 - self.bits;
        let mask = u128::from(self.mask()) << shift;
        let kept = window(bytes, offset) & !mask;
        let written = kept | (u128::from(number as u64) << shift & mask);
        let start = (offset / 8) as usize;
        for (byte, new) in bytes
            .iter_mut()
            .skip(start)
            .zip(&written.to_be_bytes()[16 - WINDOW_BYTES..])
        {
            *byte = *new;
        }
    }
}

/// 64 bits from any bit on touch so many bytes at most.
pub(super) const WINDOW_BYTES: usize = 9;
const WINDOW_BITS: u32 = 8 * WINDOW_BYTES as u32;

fn window(bytes: &[u8], offset: u64) -> u128 {
    let mut window = [0; 16];
    let start = (offset / 8) as usize;
    for (to, from) in window[16 - WINDOW_BYTES..].iter_mut().zip(bytes.iter().skip(start)) {
        *to = *from;
    }
    u128::from_be_bytes(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_are_read() {
        assert_eq!(Width::parse(b"i64"), Some(Width { signed: true, bits: 64 }));
        assert_eq!(Width::parse(b"u1"), Some(Width { signed: false, bits: 1 }));
        for text in ["u64", "i65", "i0", "u-1", "U8", "8", "i", "", "u08", "i8 "] {
            assert_eq!(Width::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_made_to_fit() {
        let (i8, u8) = (Width { signed: true, bits: 8 }, Width { signed: false, bits: 8 });
        assert_eq!(i8.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(i8.fit(-129, Overflow::Wrap), Some(127));
        assert_eq!(i8.fit(300, Overflow::Saturate), Some(127));
        assert_eq!(i8.fit(-300, Overflow::Saturate), Some(-128));
        assert_eq!(i8.fit(128, Overflow::Fail), None);
        assert_eq!(i8.fit(127, Overflow::Fail), Some(127));
        assert_eq!(u8.fit(257, Overflow::Wrap), Some(1));
        assert_eq!(u8.fit(-1, Overflow::Wrap), Some(255));
        assert_eq!(u8.fit(u8.literal(-1), Overflow::Saturate), Some(255));
        let i64 = Width { signed: true, bits: 64 };
        assert_eq!(i64.fit(1 << 63, Overflow::Wrap), Some(i64::MIN));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(offset in 0u64..100, signed: bool, bits in 1u32..=63, number: i64, mut bytes in prop::collection::vec(any::<u8>(), 21)) {
            let width = Width { signed, bits };
            let before = bytes.clone();
            let number = width.value(number as u64);
            width.write(&mut bytes, offset, number);
            prop_assert_eq!(width.read(&bytes, offset), number);
            for bit in (0..168).filter(|bit| *bit < offset || *bit >= offset + u64::from(bits)) {
                let one = Width { signed: false, bits: 1 };
                prop_assert_eq!(one.read(&bytes, bit), one.read(&before, bit));
            }
        }
    }
}
