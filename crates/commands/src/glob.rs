//! Glob patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a]`, `\x`.

/// True if `text` matches `pattern`, byte by byte.
///
/// Stars are handled by going back to the last one only, so the time is at most proportional to the product of the
/// lengths, whatever the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if let Some(next) = match_one(&pattern[p..], text[t]) {
            p += next;
            t += 1;
            continue;
        }
        let Some((after, from)) = star else { return false };
        star = Some((after, from + 1));
        (p, t) = (after, from + 1);
    }
}

/// If the front of the pattern, which is not a star, matches the byte: how long that front is.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let (hit, len) = match_class(&pattern[1..], byte);
            hit.then_some(len + 1)
        }
        b'\\' if pattern.len() >= 2 => (pattern[1] == byte).then_some(2),
        b => (b == byte).then_some(1),
    }
}

/// Matches what follows `[`: whether the byte is in it, and its length up to and including `]`. A class that is not
/// closed ends with the pattern.
fn match_class(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut i = usize::from(negated);
    let mut hit = false;
    loop {
        match class.get(i) {
            None => return (hit != negated, i),
            Some(b']') => return (hit != negated, i + 1),
            Some(b'\\') if i + 1 < class.len() => {
                hit |= class[i + 1] == byte;
                i += 2;
            }
            Some(&low) if class.len() > i + 2 && class[i + 1] == b'-' => {
                let high = class[i + 2];
                hit |= (low.min(high)..=low.max(high)).contains(&byte);
                i += 3;
            }
            Some(&b) => {
                hit |= b == byte;
                i += 1;
            }
        }
    }
}

/// What every match starts with: the pattern up to its first special character.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern
        .iter()
        .position(|b| b"*?[\\".contains(b))
        .unwrap_or(pattern.len());
    &pattern[..end]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hallo", false),
            ("[abc", "a", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("foo*bar", "foobarbar", true),
            ("\\", "\\", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
