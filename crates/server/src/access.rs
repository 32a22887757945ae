//! What the doors of the server ask alike: the ports for clients, for replicas and for HTTP.

use std::net::IpAddr;

use haypile_acl::{DEFAULT_USER, Denial, User};
use haypile_commands::table::{self, Known};
use haypile_config::Values;
use haypile_resp::Request;

use crate::users::Users;

/// What a replica must be allowed to do on this server. It asks for no more with REPLCONF than this.
const REPLICATES: [&[&str]; 2] = [&["psync", "?", "-1"], &["replconf", "sync-port"]];

/// True if what was given is the secret. All bytes are compared whatever the others are: the time says nothing of how much
/// of a guess was right.
pub fn is_secret(given: &[u8], secret: &[u8]) -> bool {
    let different = (0..given.len().max(secret.len()))
        .map(|i| given.get(i).unwrap_or(&0) ^ secret.get(i).unwrap_or(&0))
        .fold(0, |all, one| all | one);
    different == 0 && given.len() == secret.len()
}

/// True for those whom protected mode keeps out: the default user needs no password, and they do not come over the loopback
/// interface.
pub fn is_kept_out(values: &Values, everybody: &User, address: IpAddr) -> bool {
    values.protected_mode && everybody.takes_any_password() && !address.to_canonical().is_loopback()
}

/// Redis' text for what a user may not do.
pub fn refusal(denial: Denial, user: &[u8], known: &Known) -> String {
    match denial {
        Denial::Command => format!(
            "NOPERM User {} has no permissions to run the '{}' command",
            String::from_utf8_lossy(user),
            known.full_name
        ),
        Denial::Key(_) => "NOPERM No permissions to access a key".to_owned(),
        Denial::Channel(_) => "NOPERM No permissions to access a channel".to_owned(),
    }
}

/// True if the user may run this command, with these arguments.
pub fn may_run(user: &User, request: &[&str]) -> bool {
    let request = Request::from_args(request);
    table::lookup(&request).is_ok_and(|known| user.check(known, &request).is_ok())
}

/// Whether a replica may come in, by the user and the password that it gives, if it gives any.
///
/// # Errors
/// Why not.
pub fn admit_replica(
    users: &Users,
    values: &Values,
    address: IpAddr,
    given: (Option<&[u8]>, Option<&[u8]>),
) -> Result<(), &'static str> {
    let everybody = users.everybody();
    if is_kept_out(values, &everybody.user(), address) {
        return Err("protected mode: set a password with requirepass, or protected-mode no");
    }
    let name = match given.0 {
        None | Some(b"") => DEFAULT_USER.as_bytes(),
        Some(name) => name,
    };
    let is_default = name == DEFAULT_USER.as_bytes();
    let account = if is_default && everybody.user().is_open() {
        everybody.clone()
    } else {
        let password = given.1.ok_or("a password is needed: masterauth")?;
        // Which of them, a stranger is not told.
        users
            .log_in(name, password)
            .ok_or("user or password is wrong, or the user is disabled: masteruser, masterauth")?
    };
    let user = account.user();
    match REPLICATES.iter().all(|request| may_run(&user, request)) {
        true => Ok(()),
        false => Err("the user may not replicate: it needs +psync and +replconf"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haypile_acl::Defaults;

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
        let (mut values, mut everybody) = (Values::default(), User::everybody());
        assert!(is_kept_out(&values, &everybody, far));
        for near in [
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6("::ffff:127.0.0.1".parse().unwrap()),
        ] {
            assert!(!is_kept_out(&values, &everybody, near));
        }
        everybody.set_password(Some(b"secret"));
        assert!(!is_kept_out(&values, &everybody, far));
        everybody.set_password(None);
        values.protected_mode = false;
        assert!(!is_kept_out(&values, &everybody, far));
    }

    #[test]
    fn replicas_are_users_too() {
        let near = IpAddr::from([127, 0, 0, 1]);
        let (values, none) = (Values::default(), Defaults::default());
        let users = Users::open(&values, &[]).unwrap();
        let admit = |address, user: Option<&'static str>, password: Option<&'static str>| {
            let given = (user.map(str::as_bytes), password.map(str::as_bytes));
            admit_replica(&users, &values, address, given)
        };
        assert_eq!(admit(near, None, None), Ok(()));
        assert!(
            admit([192, 0, 2, 1].into(), None, None)
                .unwrap_err()
                .contains("protected mode")
        );
        users.set_default_password("secret");
        assert!(admit(near, None, None).unwrap_err().contains("a password is needed"));
        assert!(
            admit(near, Some(""), Some("guess"))
                .unwrap_err()
                .contains("password is wrong")
        );
        assert_eq!(admit([192, 0, 2, 1].into(), Some("default"), Some("secret")), Ok(()));
        assert!(
            admit(near, Some("rep"), Some("pw"))
                .unwrap_err()
                .contains("password is wrong")
        );
        users.apply(b"rep", &[">pw", "+psync", "+ping"], none).unwrap();
        assert!(admit(near, Some("rep"), Some("pw")).unwrap_err().contains("disabled"));
        users.apply(b"rep", &["on"], none).unwrap();
        assert!(admit(near, Some("rep"), Some("pw")).unwrap_err().contains("+replconf"));
        users.apply(b"rep", &["+replconf"], none).unwrap();
        assert_eq!(admit(near, Some("rep"), Some("pw")), Ok(()));
        // Without the right to tell a replica to take over.
        users
            .apply(b"rep", &["-replconf", "+replconf|sync-port"], none)
            .unwrap();
        assert_eq!(admit(near, Some("rep"), Some("pw")), Ok(()));
        users.delete([&b"rep"[..]].into_iter());
        assert!(admit(near, Some("rep"), Some("pw")).is_err());
    }
}
