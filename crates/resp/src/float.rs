//! Doubles as text, as Redis 7.0 writes them.

use std::fmt::{self, Write};
use std::ops::Deref;

/// The text of a double, without an allocation.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; 32],
    len: u8,
}

impl DoubleText {
    const EMPTY: Self = Self { bytes: [0; 32], len: 0 };

    fn of(text: &str) -> Self {
        let mut this = Self::EMPTY;
        this.push(text.as_bytes());
        this
    }

    /// The longest text `%.17g` makes has 24 bytes.
    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn push_zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.bytes.len() - usize::from(self.len) {
            return Err(fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

impl Deref for DoubleText {
    type Target = str;

    fn deref(&self) -> &str {
        // Only ASCII is ever pushed, so this does not fail.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl AsRef<str> for DoubleText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for DoubleText {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Significant digits of `%.17g`: enough to get the same double back.
const DIGITS: usize = 17;

/// A double as Redis 7.0 shows it in replies, scores included: C's `%.17g`, or `inf`, `-inf`, `nan`.
///
/// So 3 is `3`, 0.1 is `0.10000000000000001` and 1e20 is `1e+20`.
pub fn format_double(value: f64) -> DoubleText {
    if value.is_nan() {
        return DoubleText::of("nan");
    }
    if value.is_infinite() {
        return DoubleText::of(if value > 0.0 { "inf" } else { "-inf" });
    }
    // Whole numbers of up to 17 digits stand there as they are. All of them are below 2^63.
    if value.abs() < 1e17 && value.trunc() == value && !(value == 0.0 && value.is_sign_negative()) {
        return DoubleText::of(itoa::Buffer::new().format(value as i64));
    }
    let mut scientific = DoubleText::EMPTY;
    // 24 bytes at most, so there is room: `-d.dddddddddddddddde-308`.
    let _ = write!(scientific, "{value:.*e}", DIGITS - 1);
    general(&scientific)
}

/// Turns `d.dde<n>` into what `%g` makes of it.
fn general(scientific: &str) -> DoubleText {
    let mut text = DoubleText::EMPTY;
    let scientific = match scientific.strip_prefix('-') {
        Some(rest) => {
            text.push(b"-");
            rest
        }
        None => scientific,
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mut digits = [0u8; DIGITS];
    let mut len = 0;
    for byte in mantissa.bytes().filter(u8::is_ascii_digit).take(DIGITS) {
        digits[len] = byte;
        len += 1;
    }
    while len > 1 && digits[len - 1] == b'0' {
        len -= 1;
    }
    let digits = &digits[..len];
    if exponent < -4 || exponent >= DIGITS as i32 {
        text.push(&digits[..1]);
        if digits.len() > 1 {
            text.push(b".");
            text.push(&digits[1..]);
        }
        text.push(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            text.push(b"0");
        }
        text.push(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
    } else if exponent < 0 {
        text.push(b"0.");
        text.push_zeros((-exponent - 1) as usize);
        text.push(digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            text.push(digits);
            text.push_zeros(whole - digits.len());
        } else {
            text.push(&digits[..whole]);
            text.push(b".");
            text.push(&digits[whole..]);
        }
    }
    text
}

/// A double for people: no exponent, at most 17 decimals, no zeros at the end, no `-0`.
///
/// Redis writes the results of INCRBYFLOAT so (`%.17Lf`), but of 80-bit numbers, in which 10.5 + 0.1 is `10.6`.
/// Of a double `%.17f` would make `10.59999999999999964`, so here the shortest digits that mean this double are
/// used. For results that are equal to Redis' after any sum, calculate with [`LongDouble`](crate::LongDouble).
pub fn format_long_double_like(value: f64) -> String {
    if value.is_nan() || value.is_infinite() {
        return format_double(value).to_string();
    }
    let mut text = if value.trunc() == value {
        format!("{value:.0}")
    } else {
        format!("{value}")
    };
    if text.find('.').is_some_and(|point| text.len() - point - 1 > DIGITS) {
        text = format!("{value:.*}", DIGITS);
    }
    trim_decimals(&mut text);
    text
}

/// Takes the zeros off the end of the decimals, and the sign off a zero.
pub(crate) fn trim_decimals(text: &mut String) {
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" {
        text.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand side is what `printf("%.17g")` of glibc says.
    #[test]
    fn doubles_as_printf_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-3.0, "-3"),
            (3.5, "3.5"),
            (0.1, "0.10000000000000001"),
            (-0.1, "-0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e20, "1e+20"),
            (99999999999999984.0, "99999999999999984"),
            (123456789012345680000.0, "1.2345678901234568e+20"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (0.00025, "0.00025000000000000001"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
            (9007199254740993.0, "9007199254740992"),
            (1.0 / 3.0, "0.33333333333333331"),
            (100.25, "100.25"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (1e100, "1e+100"),
            (12345678901234567.8, "12345678901234568"),
            (123456.789, "123456.789"),
            (1e-7, "9.9999999999999995e-08"),
        ] {
            assert_eq!(&*format_double(value), text);
        }
    }

    #[test]
    fn doubles_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (10.6, "10.6"),
            (-0.1, "-0.1"),
            (1e20, "100000000000000000000"),
            (1e-17, "0.00000000000000001"),
            (1e-20, "0"),
            (-1e-20, "0"),
            (5000.0, "5000"),
            (1e23, "99999999999999991611392"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format_long_double_like(value), text);
        }
    }
}
