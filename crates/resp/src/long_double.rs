//! The 80-bit floating point numbers in which Redis computes INCRBYFLOAT and HINCRBYFLOAT.
//!
//! In doubles 1 + -1.1 is -0.10000000000000009; Redis answers -0.1, and clients have come to expect it.

use std::fmt;
use std::str::FromStr;

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended;

use crate::float::trim_decimals;
use crate::number::{parse_exponent, parse_hex};

/// The longest text that is taken for a number, in bytes; Redis has the same bound.
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// Decimals that are shown.
const DECIMALS: usize = 17;

/// A number with 64 bits of mantissa and 15 of exponent, as C's `long double` on x86.
///
/// ```
/// use haypile_resp::LongDouble;
/// let sum = LongDouble::parse(b"1").unwrap().checked_add(LongDouble::parse(b"-1.1").unwrap());
/// assert_eq!(sum.unwrap().to_string(), "-0.1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads what [`parse_f64`](crate::parse_f64) does, in this type's range, from text shorter than 5 KiB.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let value = if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            X87DoubleExtended::INFINITY
        } else if let [b'0', b'x' | b'X', hex @ ..] = unsigned {
            parse_hex(hex)?
        } else {
            finite(unsigned)?
        };
        Some(Self(if negative { -value } else { value }))
    }

    /// The sum; `None` when that is infinite or not a number.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }
}

/// Reads decimal digits, point and exponent.
fn finite(unsigned: &[u8]) -> Option<X87DoubleExtended> {
    let (digits, exponent) = match unsigned.iter().position(|b| b.eq_ignore_ascii_case(&b'e')) {
        Some(e) => (&unsigned[..e], parse_exponent(&unsigned[e + 1..])?),
        None => (unsigned, 0),
    };
    let points = digits.iter().filter(|&&b| b == b'.').count();
    let well_formed = digits.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if points > 1 || !well_formed || digits.len() == points {
        return None;
    }
    let nonzero = digits.iter().any(|b| matches!(b, b'1'..=b'9'));
    if !nonzero {
        return Some(X87DoubleExtended::ZERO);
    }
    let normal = format!("{}e{exponent}", std::str::from_utf8(digits).ok()?);
    let value = X87DoubleExtended::from_str(&normal).ok()?;
    (value.is_finite() && !value.is_zero()).then_some(value)
}

/// As Redis shows it to people (`%.17Lf`, zeros trimmed): no exponent, at most 17 decimals, no zeros at the end, no
/// `-0`.
impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0.is_negative() { "-" } else { "" };
        if self.0.is_infinite() {
            return write!(f, "{sign}inf");
        }
        // The format of x87: sign, 15 bits of exponent, 64 bits of mantissa with its leading 1.
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let exponent = ((bits >> 64) & 0x7fff) as i32 - 16383 - 63;
        let mut text = if exponent >= 0 {
            format!("{sign}{}", shifted_left(mantissa, exponent as u32))
        } else {
            let scaled = scaled(mantissa, exponent.unsigned_abs());
            let unit = 10u128.pow(DECIMALS as u32);
            format!("{sign}{}.{:0width$}", scaled / unit, scaled % unit, width = DECIMALS)
        };
        trim_decimals(&mut text);
        f.write_str(&text)
    }
}

/// `mantissa * 10^17 / 2^shift`, rounded half to even. The product has at most 121 bits.
fn scaled(mantissa: u64, shift: u32) -> u128 {
    let product = u128::from(mantissa) * 10u128.pow(DECIMALS as u32);
    if shift > 122 {
        return 0;
    }
    let quotient = product >> shift;
    let rest = product - (quotient << shift);
    let half = 1u128 << (shift - 1);
    if rest > half || (rest == half && quotient & 1 == 1) {
        quotient + 1
    } else {
        quotient
    }
}

/// `mantissa * 2^shift` in decimal.
fn shifted_left(mantissa: u64, shift: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    // Nine digits each, the lowest first.
    let mut limbs = vec![mantissa % BASE, mantissa / BASE % BASE, mantissa / BASE / BASE];
    let mut left = shift;
    while left > 0 {
        let step = left.min(32);
        let mut carry = 0;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    let text: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    text.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        parse(a).checked_add(parse(b)).unwrap().to_string()
    }

    /// The sums are those that Redis 7.0.15 answers to INCRBYFLOAT on x86-64.
    #[test]
    fn sums_as_redis_has_them() {
        for (a, b, expected) in [
            ("1", "-1.1", "-0.1"),
            ("10.5", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("3", "1.1", "4.1"),
            ("5e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("0", "1e-18", "0"),
            ("0", "-1e-18", "0"),
            ("0", "6e-18", "0.00000000000000001"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e20", "1", "100000000000000000000"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "0", "18446744073709551615"),
            ("0", "0", "0"),
            ("18.883", "0x1p3", "26.883"),
            ("-0x1.8p-3", "-12e10", "-120000000000.1875"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn what_is_and_is_not_a_number() {
        for text in [
            "", "+", "-", ".", " 1", "1 ", "nan", "1e", "e1", "1e+", "1..2", "1.2.3", "--1", "1_0", "1e5000",
            "1e-5000", "0x",
        ] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        for text in [
            "0e-99999999999",
            "1.",
            ".5",
            "+1",
            "1E5",
            "00012",
            "1e4932",
            "3.7e-4951",
        ] {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert!(LongDouble::parse(&[b'1'; TEXT_BYTES_MAX]).is_none());
        let infinite = LongDouble::parse(b"-Infinity").unwrap();
        assert_eq!(infinite.to_string(), "-inf");
        assert!(infinite.checked_add(infinite).is_none());
        let biggest = LongDouble::parse(b"1.1e4932").unwrap();
        assert!(biggest.checked_add(biggest).is_none());
    }
}
