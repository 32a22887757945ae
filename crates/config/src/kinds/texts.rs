//! Values that are checked and kept as text, because they have no effect or another reads them.

use super::super::codec::{Codec, parse_size};

/// A switch that cannot be off, and why not.
pub struct OnlyYes(pub &'static str);

impl Codec for OnlyYes {
    type Value = bool;

    fn parse(&self, text: &str, _now: Option<&bool>) -> Result<bool, String> {
        match text.eq_ignore_ascii_case("yes") {
            true => Ok(true),
            false => Err(format!("argument must be {}", self.allowed())),
        }
    }

    fn print(&self, _: &bool) -> String {
        "yes".into()
    }

    fn allowed(&self) -> String {
        format!("yes: {}", self.0)
    }
}

/// `seconds changes` pairs, kept as text.
pub struct SavePoints;

impl Codec for SavePoints {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let numbers: Result<Vec<i64>, _> = text.split_whitespace().map(str::parse::<i64>).collect();
        let numbers = numbers.map_err(|_| "Invalid save parameters")?;
        let good = |pair: &[i64]| matches!(pair, [seconds, changes] if *seconds >= 1 && *changes >= 0);
        if !numbers.chunks(2).all(good) {
            return Err("Invalid save parameters".into());
        }
        Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "pairs of seconds and changes, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }

    fn adds_up(&self) -> bool {
        true
    }
}

/// A version of TLS that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// The versions that a value of `tls-protocols` names; both if it is empty.
    pub fn of_text(text: &str) -> Vec<TlsVersion> {
        let has = |word: &str| text.is_empty() || text.split_whitespace().any(|given| given.eq_ignore_ascii_case(word));
        [("TLSv1.2", TlsVersion::V12), ("TLSv1.3", TlsVersion::V13)]
            .into_iter()
            .filter_map(|(word, version)| has(word).then_some(version))
            .collect()
    }
}

/// Versions of TLS, kept as text.
pub struct TlsProtocols;

impl Codec for TlsProtocols {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        for word in text.split_whitespace() {
            if TlsVersion::of_text(word).is_empty() {
                return Err(match word.to_ascii_lowercase().as_str() {
                    "tlsv1" | "tlsv1.1" => format!("{word} is not supported: it is not secure any more"),
                    _ => "Invalid tls-protocols specified. Use a combination of TLSv1.2 and TLSv1.3".into(),
                });
            }
        }
        Ok(text.trim().to_string())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "any of TLSv1.2 and TLSv1.3; empty for both".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// Percentiles from 0 to 100, kept as text.
pub struct Percentiles(pub &'static str);

impl Codec for Percentiles {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse::<f64>).collect();
        let numbers = numbers.map_err(|_| format!("Invalid {} parameters", self.0))?;
        if !numbers.iter().all(|number| (0.0..=100.0).contains(number)) {
            return Err(format!("{} parameters should sit between [0.0,100.0]", self.0));
        }
        Ok(numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "percentiles from 0 to 100, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// A size, or a share of memory such as `5%`, kept as text.
pub struct SizeOrPercent;

impl Codec for SizeOrPercent {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
        match (percent, parse_size(text)) {
            (Some(percent), _) if percent <= 100 => Ok(format!("{percent}%")),
            (None, Some(bytes)) => Ok(bytes.to_string()),
            _ if text
                .strip_suffix('%')
                .is_some_and(|number| number.parse::<u64>().is_ok()) =>
            {
                Err("percentage argument must be less or equal to 100".into())
            }
            _ => Err("argument must be a memory or percent value".into()),
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a size, or a percentage such as 5%".into()
    }
}

/// Three adjustments for the kernel's out-of-memory killer, kept as text.
pub struct OomScores;

impl Codec for OomScores {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != 3 {
            return Err("wrong number of arguments".into());
        }
        let score = |word: &&str| word.parse::<i32>().ok().filter(|score| (-2000..=2000).contains(score));
        let scores: Option<Vec<i32>> = words.iter().map(score).collect();
        let scores = scores.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        Ok(scores.iter().map(i32::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "three numbers from -2000 to 2000".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}
