//! Any bytes as a file of users, as the rules of ACL SETUSER, and as the command that such a user wants to run.

use haypile_acl::{ApplyError, Defaults, Denial, RuleError, User, is_name, text};
use haypile_commands::table;
use haypile_resp::Request;

/// A file of users is refused in one line, or can be written and read again.
pub fn file(bytes: &[u8], defaults: Defaults) -> bool {
    let users = match text::read(bytes, "f", defaults) {
        Ok(users) => users,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(['\r', '\n']), "{said:?}");
            return false;
        }
    };
    for (name, user) in &users {
        assert!(is_name(name));
        assert_eq!(again(user, defaults), *user);
    }
    assert_eq!(text::read(&text::write(&users), "f", defaults), Ok(users));
    true
}

/// The user whom its description makes of a new one.
fn again(user: &User, defaults: Defaults) -> User {
    let printed = user.describe();
    let words: Vec<&[u8]> = printed.split(|byte| *byte == b' ').collect();
    let mut again = User::new(defaults);
    again.apply_all(&words, defaults).unwrap();
    again
}

/// Words as rules: all of them or none, and what they make can be said again. A refusal names no password.
pub fn rules(words: &[&[u8]], defaults: Defaults) -> User {
    let mut user = User::new(defaults);
    match user.apply_all(words, defaults) {
        Ok(()) => {
            if words.iter().all(|word| is_name(word)) {
                assert_eq!(again(&user, defaults), user);
            }
        }
        Err(error) => {
            assert_eq!(user, User::new(defaults), "{error}");
            if let ApplyError::Rule { rule, error } = error {
                let is_password = matches!(rule.first(), Some(b'>' | b'<'));
                assert!(!is_password || error == RuleError::NoSuchPassword);
            }
        }
    }
    user
}

/// Words as a request: it is none, or the user may run it or not, and what is denied is one of its arguments.
pub fn check(user: &User, words: &[&[u8]]) {
    let request = Request::from_args(words.iter().copied());
    let Ok(known) = table::resolve(&request) else { return };
    let verdict = user.check(known, &request);
    match verdict {
        Ok(()) | Err(Denial::Command) => {}
        Err(Denial::Key(at) | Denial::Channel(at)) => assert!(0 < at && at < request.len()),
    }
    if user.is_unrestricted() {
        assert_eq!(verdict, Ok(()));
    }
}
