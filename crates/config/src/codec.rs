//! How a value is written: text to typed value and back, with the bounds.
//!
//! A codec says three things about a key: what it accepts, what Redis would answer to a bad value, and how a value
//! is printed. Everything that shows or reads configuration goes through it.

use std::fmt::Display;
use std::path::PathBuf;

/// The way one kind of value is read and printed.
pub trait Codec {
    /// What the text stands for.
    type Value;

    /// Reads `text`. `now` is the present value, for kinds where a text changes only a part of it.
    ///
    /// # Errors
    /// The reason in Redis' words, as CONFIG SET answers it.
    fn parse(&self, text: &str, now: Option<&Self::Value>) -> Result<Self::Value, String>;

    /// The value as CONFIG GET shows it.
    fn print(&self, value: &Self::Value) -> String;

    /// The value as it stands in a file, in the unit that reads best.
    fn print_for_file(&self, value: &Self::Value) -> String {
        self.print(value)
    }

    /// What is allowed, to go after "must be".
    fn allowed(&self) -> String;

    /// Whether a line of the file or a flag may give several words for one value.
    fn takes_words(&self) -> bool {
        false
    }

    /// Whether a second line in the file adds to the first instead of replacing it.
    fn adds_up(&self) -> bool {
        false
    }

    /// Whether the value must not appear in logs.
    fn is_secret(&self) -> bool {
        false
    }

    /// Whether CONFIG SET to the present value counts as a change: what the value names may be another by now.
    fn is_read_again(&self) -> bool {
        false
    }
}

/// Ties a codec to the type of the field it serves, so that integer literals in its bounds get that type.
pub(super) fn of_type<V, C: Codec<Value = V>>(codec: C) -> C {
    codec
}

/// A whole number between two bounds, both included.
pub struct Number<T> {
    min: T,
    max: T,
    unit: &'static str,
}

impl<T> Number<T> {
    /// `unit` is the plural word that follows the bounds in the documentation; empty for a bare count.
    pub const fn new(min: T, max: T, unit: &'static str) -> Self {
        Self { min, max, unit }
    }
}

impl<T: Copy + Display + Into<i128> + TryFrom<i128>> Codec for Number<T> {
    type Value = T;

    fn parse(&self, text: &str, _now: Option<&T>) -> Result<T, String> {
        let is_number = !text.starts_with('+');
        let number = text.parse::<i128>().ok().filter(|_| is_number);
        let number = number.ok_or("argument couldn't be parsed into an integer")?;
        let inside = (self.min.into()..=self.max.into()).contains(&number);
        T::try_from(number)
            .ok()
            .filter(|_| inside)
            .ok_or_else(|| format!("argument must be between {} and {} inclusive", self.min, self.max))
    }

    fn print(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        let space = if self.unit.is_empty() { "" } else { " " };
        format!("a whole number from {} to {}{space}{}", self.min, self.max, self.unit)
    }
}

/// The largest size that Redis takes, and therefore ours.
const SIZE_MAX: u64 = i64::MAX as u64;

/// A number of bytes, written plainly or with k, kb, m, mb, g, gb as Redis reads them (k = 1000, kb = 1024).
pub struct Size {
    min: u64,
    max: u64,
    zero: bool,
}

impl Size {
    /// Any size from `min` bytes on.
    pub const fn from(min: u64) -> Self {
        Self {
            min,
            max: SIZE_MAX,
            zero: false,
        }
    }

    /// A size between two bounds in bytes, both included.
    pub const fn between(min: u64, max: u64) -> Self {
        Self { min, max, zero: false }
    }

    /// Also allows 0, which then means something of its own.
    pub const fn or_zero(self) -> Self {
        Self { zero: true, ..self }
    }
}

/// Reads a size as Redis does; None when it is not one or does not fit.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size in the largest unit that expresses it exactly.
pub(super) fn print_size(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

impl Codec for Size {
    type Value = u64;

    fn parse(&self, text: &str, _now: Option<&u64>) -> Result<u64, String> {
        let bytes = parse_size(text).ok_or("argument must be a memory value")?;
        if (self.min..=self.max).contains(&bytes) || (self.zero && bytes == 0) {
            Ok(bytes)
        } else {
            Err(format!(
                "argument must be between {} and {} inclusive",
                self.min, self.max
            ))
        }
    }

    fn print(&self, value: &u64) -> String {
        value.to_string()
    }

    fn print_for_file(&self, value: &u64) -> String {
        print_size(*value)
    }

    fn allowed(&self) -> String {
        let zero = if self.zero && self.min > 0 { "0, or " } else { "" };
        match (self.min, self.max) {
            (0, SIZE_MAX) => "a size such as 0, 4096 or 64mb".into(),
            (min, SIZE_MAX) => format!("{zero}a size of at least {}", print_size(min)),
            (min, max) => format!("{zero}a size from {} to {}", print_size(min), print_size(max)),
        }
    }
}

/// `yes` or `no`.
pub struct YesNo;

impl Codec for YesNo {
    type Value = bool;

    fn parse(&self, text: &str, _now: Option<&bool>) -> Result<bool, String> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn print(&self, value: &bool) -> String {
        if *value { "yes" } else { "no" }.into()
    }

    fn allowed(&self) -> String {
        "yes or no".into()
    }
}

/// One word out of a fixed set. When two words stand for the same value, the first one is printed.
pub struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Choice<T> {
    fn words(&self) -> String {
        self.0.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

impl<T: Copy + PartialEq> Codec for Choice<T> {
    type Value = T;

    fn parse(&self, text: &str, _now: Option<&T>) -> Result<T, String> {
        let found = self.0.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("argument(s) must be one of the following: {}", self.words()))
    }

    fn print(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, known)| known == value);
        found.map(|(word, _)| (*word).to_string()).unwrap_or_default()
    }

    fn allowed(&self) -> String {
        match self.0 {
            [(only, _)] => (*only).into(),
            _ => format!("one of {}", self.words()),
        }
    }
}

/// One word out of a set, kept as the word.
pub struct Word(pub &'static [&'static str]);

impl Codec for Word {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let found = self.0.iter().find(|word| word.eq_ignore_ascii_case(text));
        found
            .map(|word| (*word).to_string())
            .ok_or_else(|| format!("argument(s) must be one of the following: {}", self.0.join(", ")))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        match self.0 {
            [""] => "empty".into(),
            [only] => (*only).into(),
            words => format!("one of {}", words.join(", ")),
        }
    }
}

/// Any text, the empty one included.
pub struct Text;

impl Codec for Text {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        Ok(text.to_string())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "text".into()
    }
}

/// Any text that must not be logged: a password.
pub struct Secret;

impl Codec for Secret {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        // As in Redis: 512 bytes bound what each AUTH has to compare.
        if text.len() > 512 {
            Err("argument is longer than 512 bytes".into())
        } else {
            Ok(text.to_string())
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "text of at most 512 bytes; empty for none".into()
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// The path of a file or directory whose content matters, or empty for none. Setting it again reads it again.
pub struct Content;

impl Codec for Content {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        Ok(text.to_string())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a path, or empty for none".into()
    }

    fn is_read_again(&self) -> bool {
        true
    }
}

/// The path of a directory or file.
pub struct Path;

impl Codec for Path {
    type Value = PathBuf;

    fn parse(&self, text: &str, _now: Option<&PathBuf>) -> Result<PathBuf, String> {
        if text.is_empty() {
            Err("argument must be a path".into())
        } else {
            Ok(PathBuf::from(text))
        }
    }

    fn print(&self, value: &PathBuf) -> String {
        value.to_string_lossy().into_owned()
    }

    fn allowed(&self) -> String {
        "a path".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bounds() {
        let number = Number::<u16>::new(1, 300, "seconds");
        assert_eq!(number.parse("300", None), Ok(300));
        for outside in ["0", "301", "-1", "70000"] {
            assert_eq!(
                number.parse(outside, None),
                Err("argument must be between 1 and 300 inclusive".into())
            );
        }
        for bad in [
            "",
            "x",
            "1x",
            "1.5",
            " 1",
            "+1",
            "99999999999999999999999999999999999999999999",
        ] {
            assert_eq!(
                number.parse(bad, None),
                Err("argument couldn't be parsed into an integer".into()),
                "{bad}"
            );
        }
        assert_eq!(number.allowed(), "a whole number from 1 to 300 seconds");
    }

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("12", 12),
            ("12b", 12),
            ("1k", 1000),
            ("1KB", 1024),
            ("2m", 2_000_000),
            ("2Mb", 2 << 20),
            ("1g", 1_000_000_000),
            ("3gb", 3 << 30),
        ] {
            assert_eq!(Size::from(0).parse(text, None), Ok(bytes), "{text}");
        }
        for bad in ["", "mb", "1tb", "-1", "1 mb", "1.5mb", "99999999999gb"] {
            assert_eq!(
                Size::from(0).parse(bad, None),
                Err("argument must be a memory value".into()),
                "{bad}"
            );
        }
        assert!(Size::from(1024).parse("1000", None).is_err());
        assert_eq!(Size::from(1024).or_zero().parse("0", None), Ok(0));
        assert!(Size::between(1, 10).parse("11", None).is_err());
    }

    #[test]
    fn sizes_print_in_the_unit_that_reads_best() {
        assert_eq!(print_size(0), "0");
        assert_eq!(print_size(1000), "1000");
        assert_eq!(print_size(64 << 20), "64mb");
        assert_eq!(print_size(3 << 30), "3gb");
        assert_eq!(print_size((1 << 30) + 1024), "1048577kb");
    }

    #[test]
    fn choices_print_the_first_word_of_a_value() {
        let choice = Choice(&[("os", 1), ("no", 1), ("always", 2)]);
        assert_eq!(choice.parse("NO", None), Ok(1));
        assert_eq!(choice.print(&1), "os");
        assert_eq!(
            choice.parse("x", None),
            Err("argument(s) must be one of the following: os, no, always".into())
        );
    }
}
