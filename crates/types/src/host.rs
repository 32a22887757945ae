//! What may be the name or the address of a host.

/// Characters of the longest name of a host (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// True for what may be the name or the address of a host: letters, digits and `. - _ : % [ ]`.
///
/// What comes from elsewhere is looked at before it is shown: a name with a line break in it would write lines of its own into
/// INFO, and one with a comma fields of its own.
pub fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || ".-_:%[]".contains(c);
    !text.is_empty() && text.len() <= HOST_BYTES_MAX && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for host in [
            "localhost",
            "db-1.example.org",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "[::1]",
            "bücher.example",
            "my_host",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        for other in [
            "",
            "a b",
            "a\r\nb",
            "a,b",
            "a=b",
            "a\0",
            "a/b",
            "\u{1b}[1m",
            long.as_str(),
        ] {
            assert!(!is_host(other), "{other:?}");
        }
    }
}
