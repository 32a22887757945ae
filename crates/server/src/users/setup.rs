//! The users that a server starts with.

use haypile_acl::{ApplyError, DEFAULT_USER, Defaults, LoadError, User, UserStore, is_name};
use haypile_config::{Place, UserLine, Values};

use super::Users;
use super::file::AclFile;
use super::to_write::user_of;

/// Why a server cannot start with its users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There are two places for them.
    #[error(
        "{place}users are defined in the configuration file, and aclfile names another file for them: only one of both can \
         be; move the lines into the file that aclfile names"
    )]
    TwoPlaces {
        /// The first such line.
        place: Place,
    },
    /// The file that `aclfile` names.
    #[error("the ACL file cannot be used: {0}")]
    Load(LoadError),
    /// A line of the configuration file.
    #[error("{place}user {name}: {error}")]
    Line {
        /// Where.
        place: Place,
        /// The user.
        name: String,
        /// What is wrong.
        error: ApplyError,
    },
    /// A name that cannot be one.
    #[error("{place}the name of a user has no spaces and no zero bytes")]
    Name {
        /// Where.
        place: Place,
    },
    /// A user of whom two lines speak.
    #[error("{place}user {name} is defined above already; a user has one line")]
    Duplicate {
        /// Where.
        place: Place,
        /// The user.
        name: String,
    },
}

/// What a user has whom no rule says anything of.
pub fn defaults(values: &Values) -> Defaults {
    Defaults {
        all_channels: values.acl_pubsub_default,
    }
}

/// The default user, where only `requirepass` says something of it.
pub fn implied_default(requirepass: &str) -> User {
    let mut user = User::everybody();
    if !requirepass.is_empty() {
        user.set_password(Some(requirepass.as_bytes()));
    }
    user
}

impl Users {
    /// Those that the configuration names, or the file that it names.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(values: &Values, lines: &[UserLine]) -> Result<Users, UsersError> {
        let defaults = defaults(values);
        let implied = implied_default(&values.requirepass);
        let (mut users, store) = match (values.aclfile.as_str(), lines.first()) {
            ("", _) => (read(lines, defaults)?, None),
            (_, Some(line)) => {
                let place = line.place.clone();
                return Err(UsersError::TwoPlaces { place });
            }
            (name, None) => {
                let file = AclFile::new(name);
                let users = file.load(defaults).map_err(UsersError::Load)?;
                (users, Some(Box::new(file) as Box<dyn UserStore>))
            }
        };
        for (name, _) in users.iter().filter(|(_, user)| !user.is_enabled()) {
            let name = String::from_utf8_lossy(name);
            tracing::info!(%name, "this user is disabled: there is no 'on' in its rules");
        }
        let everybody = users.remove(DEFAULT_USER.as_bytes()).unwrap_or(implied);
        Ok(Users::of(users, everybody, store))
    }
}

fn read(lines: &[UserLine], defaults: Defaults) -> Result<haypile_acl::Users, UsersError> {
    let mut users = haypile_acl::Users::new();
    for line in lines {
        let (place, name) = (line.place.clone(), line.name.clone());
        if !is_name(name.as_bytes()) {
            return Err(UsersError::Name { place });
        }
        let user = match user_of(line, defaults) {
            Ok(user) => user,
            Err(error) => return Err(UsersError::Line { place, name, error }),
        };
        if users.insert(name.clone().into_bytes(), user).is_some() {
            return Err(UsersError::Duplicate { place, name });
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, words: &str) -> UserLine {
        let mut words = words.split(' ').map(str::to_owned);
        UserLine {
            place: Place::Line("h.conf".into(), number),
            name: words.next().unwrap(),
            rules: words.collect(),
        }
    }

    fn open(values: &Values, lines: &[UserLine]) -> Result<Users, String> {
        Users::open(values, lines).map_err(|error| error.to_string())
    }

    #[test]
    fn users_come_from_the_configuration() {
        let mut values = Values {
            requirepass: "secret".into(),
            ..Values::default()
        };
        let users = open(&values, &[line(1, "ann on >pw +@read ~a* (+set ~b*)")]).unwrap();
        assert!(users.log_in(b"ann", b"pw").is_some() && users.log_in(b"default", b"secret").is_some());
        assert!(users.log_in(b"default", b"").is_none());
        // A line about the default user says all of it.
        let users = open(&values, &[line(1, "default on nopass +@all ~*")]).unwrap();
        assert!(users.everybody().user().is_open() && !users.everybody().is_unrestricted());
        values.acl_pubsub_default = true;
        let users = open(&values, &[line(1, "default on nopass +@all ~*")]).unwrap();
        assert!(users.everybody().is_unrestricted());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let mut values = Values::default();
        let error = |values: &Values, lines: &[UserLine]| open(values, lines).err().unwrap();
        assert_eq!(
            error(&values, &[line(3, "ann +nonsense")]),
            "h.conf:3: user ann: Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL"
        );
        assert_eq!(
            error(&values, &[line(3, "ann"), line(5, "ann")]),
            "h.conf:5: user ann is defined above already; a user has one line"
        );
        assert!(error(&values, &[line(3, "ann (+get")]).contains("Unmatched parenthesis"));
        values.aclfile = "users.acl".into();
        assert!(error(&values, &[line(3, "ann")]).starts_with("h.conf:3: users are defined in the configuration file"));
        assert!(error(&values, &[]).contains("opening file 'users.acl': No such file"));
    }
}
