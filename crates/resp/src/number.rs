//! Numbers as clients write them, as strict as Redis is.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::Double;

/// Reads a 64-bit integer in the one way it is written by [`itoa`]: no blanks, no `+`, no leading zeros, no `-0`.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        b"0" if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // 19 digits do not overflow 64 bits without a sign.
    if digits.len() > 19 {
        return None;
    }
    let mut magnitude = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Reads a double as C's `strtod` does, without blanks around it and without NaN: decimal or `0x` hexadecimal with an
/// optional exponent, or `inf` or `infinity` in any case, each with an optional sign.
///
/// `None` also for what is too big for a double, or so small that it would become zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let unsigned = text
        .strip_prefix(b"-")
        .or_else(|| text.strip_prefix(b"+"))
        .unwrap_or(text);
    if let [b'0', b'x' | b'X', hex @ ..] = unsigned {
        let value = f64::from_bits(parse_hex::<Double>(hex)?.to_bits() as u64);
        return Some(if text[0] == b'-' { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let infinity = unsigned.first().is_some_and(|b| b.eq_ignore_ascii_case(&b'i'));
    in_range(value, infinity, has_nonzero_digit(unsigned)).then_some(value)
}

/// Whether `value` is what was written, rather than what overflow or underflow made of it.
fn in_range(value: f64, infinity: bool, nonzero: bool) -> bool {
    !value.is_nan() && (value.is_finite() || infinity) && (value != 0.0 || !nonzero)
}

/// Whether the part before the exponent is other than zero.
fn has_nonzero_digit(unsigned: &[u8]) -> bool {
    unsigned
        .iter()
        .take_while(|b| !b.eq_ignore_ascii_case(&b'e'))
        .any(|b| matches!(b, b'1'..=b'9'))
}

/// An exponent beyond which everything is zero or infinite, even for a number of thousands of digits.
const EXPONENT_MAX: u32 = 99_999;

/// Reads an exponent with an optional sign; one that is absurdly large is cut down to a large one.
pub(crate) fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u32;
    for &byte in digits {
        value = (value * 10 + char::from(byte).to_digit(10)?).min(EXPONENT_MAX);
    }
    Some(if negative { -i64::from(value) } else { i64::from(value) })
}

/// Reads a hexadecimal number without sign and `0x`, `1f`, `1.8p3` or `.8`, rounded to the precision of `F`.
///
/// `None` also for what is too big, or so small that it would become zero.
pub(crate) fn parse_hex<F: Float>(text: &[u8]) -> Option<F> {
    let (digits, exponent) = match text.iter().position(|b| b.eq_ignore_ascii_case(&b'p')) {
        Some(p) => (&text[..p], parse_exponent(&text[p + 1..])?),
        None => (text, 0),
    };
    let points = digits.iter().filter(|&&b| b == b'.').count();
    let well_formed = digits.iter().all(|b| b.is_ascii_hexdigit() || *b == b'.');
    if points > 1 || !well_formed || digits.len() == points {
        return None;
    }
    if digits.iter().all(|b| matches!(b, b'0' | b'.')) {
        return Some(F::ZERO);
    }
    let normal = format!("0x{}p{exponent}", std::str::from_utf8(digits).ok()?);
    let value = F::from_str(&normal).ok()?;
    (value.is_finite() && !value.is_zero()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for n in [
            0,
            1,
            -1,
            10,
            i64::MAX,
            i64::MIN,
            i64::MAX - 1,
            1_000_000_000_000_000_000,
        ] {
            assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            "-0",
            "00",
            " 1",
            "1 ",
            "1a",
            "0x1",
            "9223372036854775808",
            "--1",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "1\0",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles() {
        let good = [
            ("0", 0.0),
            ("1", 1.0),
            ("-1.5", -1.5),
            ("+3", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("007", 7.0),
            ("0e-999", 0.0),
            ("5e-324", 5e-324),
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("-0x1.8p3", -12.0),
            ("0x.8", 0.5),
            ("0x1p-1074", 5e-324),
            ("0x1fffffffffffffffp0", 2305843009213693951.0),
            ("0x0", 0.0),
            ("0x0p99999999999", 0.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000001p0", 1.0 + f64::EPSILON),
            ("0x0.00000000000000000000000001p0", f64::powi(2.0, -104)),
        ];
        for (text, value) in good {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        let bad = [
            "",
            " 1",
            "1 ",
            "nan",
            "-NaN",
            "nan(1)",
            "1e400",
            "-1e400",
            "1e-400",
            "abc",
            "1.2.3",
            "e5",
            "1e",
            ".",
            "-",
            "+-1",
            "infin",
            "infinityx",
            "0x",
            "0xg",
            "0x.",
            "0x1p",
            "0x1p9999",
            "0x1p-9999",
            "1_000",
            "1\0",
        ];
        for text in bad {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }
}
