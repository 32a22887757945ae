//! The words of a line, quoted and unquoted as Redis does it.

/// Splits a line into words. A word in double quotes may hold `\n \r \t \b \a \" \\ \xHH`, one in single quotes `\'`.
/// None when a quote is left open or is followed by something other than a space, or when the bytes are no UTF-8.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut rest = line.trim_start().as_bytes();
    let mut words = Vec::new();
    while let Some(first) = rest.first() {
        let (word, after) = match first {
            b'"' => double_quoted(&rest[1..])?,
            b'\'' => single_quoted(&rest[1..])?,
            _ => plain(rest)?,
        };
        if after.first().is_some_and(|next| !next.is_ascii_whitespace()) {
            return None;
        }
        words.push(String::from_utf8(word).ok()?);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

/// A word up to the next space; quotes may open inside it, as in `a"b c"`.
fn plain(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    while let Some(byte) = rest.first().filter(|byte| !byte.is_ascii_whitespace()) {
        if matches!(byte, b'"' | b'\'') {
            let quoted = if *byte == b'"' { double_quoted } else { single_quoted };
            let (inner, after) = quoted(&rest[1..])?;
            word.extend(inner);
            return if after.first().is_none_or(u8::is_ascii_whitespace) {
                Some((word, after))
            } else {
                None
            };
        }
        word.push(*byte);
        rest = &rest[1..];
    }
    Some((word, rest))
}

fn double_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((word, after)),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn single_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [b'\'', after @ ..] => return Some((word, after)),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// A word as it can stand in a file: in quotes if it is empty or would not read back as itself.
pub fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'#');
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_string();
    }
    let mut quoted = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_quotes() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            ("  port   9221\t", &["port", "9221"]),
            ("save \"\"", &["save", ""]),
            ("requirepass \"a b\\n\\x41\\\"\\\\\"", &["requirepass", "a b\nA\"\\"]),
            ("requirepass 'a \\' \\n'", &["requirepass", "a ' \\n"]),
            ("a\"b c\" d", &["ab c", "d"]),
            ("x ü", &["x", "ü"]),
            ("x \"\\xc3\\xbc\"", &["x", "ü"]),
            ("a#b", &["a#b"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for bad in ["x \"", "x 'a", "x \"a\"b", "x a\"b\"c", "x \"\\", "x \"\\xff\""] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(words in proptest::collection::vec(".*", 0..4)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line), Some(words));
        }
    }
}
