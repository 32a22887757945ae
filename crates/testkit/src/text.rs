//! Replies in short, and as text.

use haypile_resp::client::Value;

/// `+OK`.
pub fn ok() -> Value {
    Value::Simple("OK".into())
}

/// A bulk string.
pub fn bulk(text: impl AsRef<[u8]>) -> Value {
    Value::Bulk(text.as_ref().to_vec())
}

/// An integer.
pub fn int(value: i64) -> Value {
    Value::Integer(value)
}

/// An error, its code first.
pub fn error(text: &str) -> Value {
    Value::Error(text.into())
}

/// An array.
pub fn array(elements: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(elements.into_iter().collect())
}

/// A reply in one line: `OK`, `(error) ERR no`, `1`, `"bulk"`, `nil`, `[array, ...]`, `{map: value, ...}`,
/// `~[set, ...]`, `>[push, ...]`, `1.5d`, `true`, `123n` (a big number), `txt:"verbatim"`. Bytes that are not
/// printable ASCII are escaped.
pub fn text(value: &Value) -> String {
    let list = |elements: &[Value]| elements.iter().map(text).collect::<Vec<_>>().join(", ");
    match value {
        Value::Simple(text) => text.clone(),
        Value::Error(text) => format!("(error) {text}"),
        Value::Integer(value) => value.to_string(),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "nil".into(),
        Value::Array(elements) => format!("[{}]", list(elements)),
        Value::Set(elements) => format!("~[{}]", list(elements)),
        Value::Push(elements) => format!(">[{}]", list(elements)),
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", text(key), text(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Double(value) => format!("{value}d"),
        Value::Boolean(value) => value.to_string(),
        Value::BigNumber(digits) => format!("{digits}n"),
        Value::Verbatim { format, text } => {
            format!("{}:\"{}\"", format.escape_ascii(), text.escape_ascii())
        }
    }
}

/// The words of a line: separated by spaces; double quotes hold spaces together, and `""` is an empty word.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    for byte in line.bytes() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' | b'\n' | b'\t' if !quoted => words.extend(word.take()),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    assert!(!quoted, "a quote is not closed: {line}");
    words.extend(word);
    words
}
