//! What the doors of the server ask alike: the ports for clients, for replicas and for HTTP.

use std::net::IpAddr;

use crate::config::Values;

/// The user as whom everybody logs in.
pub const DEFAULT_USER: &str = "default";

/// True if what was given is the secret. All bytes are compared whatever the others are: the time says nothing of how much
/// of a guess was right.
pub fn is_secret(given: &[u8], secret: &[u8]) -> bool {
    let different = (0..given.len().max(secret.len()))
        .map(|i| given.get(i).unwrap_or(&0) ^ secret.get(i).unwrap_or(&0))
        .fold(0, |all, one| all | one);
    different == 0 && given.len() == secret.len()
}

/// True for those whom protected mode keeps out: no password is set, and they do not come over the loopback interface.
pub fn is_kept_out(values: &Values, address: IpAddr) -> bool {
    values.protected_mode && values.requirepass.is_empty() && !address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_is_the_secret() {
        assert!(is_secret(b"secret", b"secret") && is_secret(b"", b""));
        for wrong in [&b"secre"[..], b"secret ", b"secrets", b"Secret", b"", b"secret\0"] {
            assert!(!is_secret(wrong, b"secret"));
        }
    }

    #[test]
    fn protected_mode_is_for_servers_without_a_password() {
        let far = IpAddr::from([192, 0, 2, 1]);
        let mut values = Values::default();
        assert!(is_kept_out(&values, far));
        for near in [
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6("::ffff:127.0.0.1".parse().unwrap()),
        ] {
            assert!(!is_kept_out(&values, near));
        }
        values.requirepass = "secret".into();
        assert!(!is_kept_out(&values, far));
        values.requirepass.clear();
        values.protected_mode = false;
        assert!(!is_kept_out(&values, far));
    }
}
