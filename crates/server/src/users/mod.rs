//! Who there is: users by name, what each may do, and where they are kept.
//!
//! What a user may do is an immutable [`User`], replaced as a whole. A connection holds its [`Account`], through which it sees
//! the newest: a change of rights counts from the next command on, without a word to anybody.

mod denials;
mod file;
mod setup;
mod to_write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use haypile_acl::{ApplyError, DEFAULT_USER, Defaults, LoadError, SaveError, User, UserStore};
use parking_lot::Mutex;

pub use denials::{Context, DenialEntry, Denials, Reason};
pub use setup::{UsersError, defaults, implied_default};
pub use to_write::UsersInFile;

/// A user of this server.
pub struct Account {
    name: Box<[u8]>,
    /// Looked at for every command: nothing else is, for those who may do everything.
    unrestricted: AtomicBool,
    /// It was deleted: nobody is this user any more.
    gone: AtomicBool,
    user: ArcSwap<User>,
}

impl Account {
    fn new(name: &[u8], user: User) -> Arc<Account> {
        Arc::new(Account {
            name: name.into(),
            unrestricted: AtomicBool::new(user.is_unrestricted()),
            gone: AtomicBool::new(false),
            user: ArcSwap::from_pointee(user),
        })
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// True if there is nothing that it may not do.
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted.load(Ordering::Relaxed)
    }

    /// True if it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// What it may do at this moment.
    pub fn user(&self) -> Guard<Arc<User>> {
        self.user.load()
    }

    /// Only under the lock of [`Users`].
    fn put(&self, user: User) {
        // In this order nobody passes by rules that are there.
        self.unrestricted.store(false, Ordering::SeqCst);
        let unrestricted = user.is_unrestricted();
        self.user.store(Arc::new(user));
        self.unrestricted.store(unrestricted, Ordering::SeqCst);
    }

    /// Nobody is this user from here on, and whoever was may do nothing.
    fn end(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.put(User::new(Defaults::default()));
    }
}

/// An account that has other rights now, and those from before.
pub struct Changed {
    /// Who.
    pub account: Arc<Account>,
    /// As it was.
    pub before: Arc<User>,
}

/// What a file has changed.
#[derive(Default)]
pub struct Loaded {
    /// Who has other rights.
    pub changed: Vec<Changed>,
    /// Who is not there any more.
    pub gone: Vec<Arc<Account>>,
}

/// All users.
pub struct Users {
    accounts: Mutex<BTreeMap<Vec<u8>, Arc<Account>>>,
    /// One of them, and always the same: that of whoever has said nothing.
    everybody: Arc<Account>,
    /// Where they are kept; `None` = in the configuration file, if anywhere.
    store: Option<Box<dyn UserStore>>,
    /// Held while they are written there, or read: what is newer is kept last. Nobody who logs in waits for it.
    at_store: Mutex<()>,
    /// What was not allowed.
    pub denials: Denials,
}

impl Users {
    fn of(users: haypile_acl::Users, everybody: User, store: Option<Box<dyn UserStore>>) -> Users {
        let everybody = Account::new(DEFAULT_USER.as_bytes(), everybody);
        let mut accounts: BTreeMap<Vec<u8>, Arc<Account>> = users
            .into_iter()
            .map(|(name, user)| {
                let account = Account::new(&name, user);
                (name, account)
            })
            .collect();
        accounts.insert(DEFAULT_USER.into(), everybody.clone());
        Users {
            accounts: Mutex::new(accounts),
            everybody,
            store,
            at_store: Mutex::new(()),
            denials: Denials::default(),
        }
    }

    /// The default user.
    pub fn everybody(&self) -> &Arc<Account> {
        &self.everybody
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<Account>> {
        self.accounts.lock().get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> haypile_acl::Users {
        let accounts = self.accounts.lock();
        accounts
            .iter()
            .map(|(name, account)| (name.clone(), User::clone(&account.user())))
            .collect()
    }

    /// The user of this name, if the password is right.
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        let account = self.get(name);
        // It takes as long for a user who is not there.
        let right = match &account {
            Some(account) => account.user().admits(password),
            None => User::new(Defaults::default()).admits(password),
        };
        account.filter(|_| right)
    }

    /// Carries out rules on a user, who is made if there is none: all or none. Gives whose rights they have changed.
    ///
    /// # Errors
    /// The first rule that is none.
    pub fn apply<R: AsRef<[u8]>>(
        &self,
        name: &[u8],
        rules: &[R],
        defaults: Defaults,
    ) -> Result<Option<Changed>, ApplyError> {
        let mut accounts = self.accounts.lock();
        let Some(account) = accounts.get(name) else {
            let mut user = User::new(defaults);
            user.apply_all(rules, defaults)?;
            accounts.insert(name.to_vec(), Account::new(name, user));
            return Ok(None);
        };
        let before = account.user.load_full();
        let mut user = User::clone(&before);
        user.apply_all(rules, defaults)?;
        account.put(user);
        Ok(Some(Changed {
            account: account.clone(),
            before,
        }))
    }

    /// Lets this password be the default user's only one; an empty one lets any be right.
    pub fn set_default_password(&self, password: &str) {
        let _held = self.accounts.lock();
        let mut user = User::clone(&self.everybody.user());
        user.set_password(Some(password.as_bytes()).filter(|password| !password.is_empty()));
        self.everybody.put(user);
    }

    /// Deletes users; gives those that were there. The default user stays.
    pub fn delete<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<Arc<Account>> {
        let mut accounts = self.accounts.lock();
        let mut deleted = Vec::new();
        for name in names.filter(|name| *name != DEFAULT_USER.as_bytes()) {
            deleted.extend(accounts.remove(name));
        }
        deleted.iter().for_each(|account| account.end());
        deleted
    }

    /// True if they are kept in a place of their own.
    pub fn are_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Lets those be there that are kept, and nobody else. `None` = they are not kept.
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub fn load(&self, defaults: Defaults, requirepass: &str) -> Option<Result<Loaded, LoadError>> {
        let store = self.store.as_ref()?;
        Some(self.load_from(&**store, defaults, requirepass))
    }

    fn load_from(&self, store: &dyn UserStore, defaults: Defaults, requirepass: &str) -> Result<Loaded, LoadError> {
        let _held = self.at_store.lock();
        let mut users = store.load(defaults)?;
        users
            .entry(DEFAULT_USER.into())
            .or_insert_with(|| implied_default(requirepass));
        let mut accounts = self.accounts.lock();
        let mut loaded = Loaded::default();
        accounts.retain(|name, account| {
            let stays = users.contains_key(name);
            if !stays {
                account.end();
                loaded.gone.push(account.clone());
            }
            stays
        });
        for (name, user) in users {
            match accounts.get(&name) {
                Some(account) => {
                    let before = account.user.load_full();
                    if *before != user {
                        account.put(user);
                        loaded.changed.push(Changed {
                            account: account.clone(),
                            before,
                        });
                    }
                }
                None => {
                    let account = Account::new(&name, user);
                    accounts.insert(name, account);
                }
            }
        }
        Ok(loaded)
    }

    /// Keeps them as they are. `None` = there is no place for them.
    ///
    /// # Errors
    /// They could not be written.
    pub fn save(&self) -> Option<Result<(), SaveError>> {
        let store = self.store.as_ref()?;
        let _held = self.at_store.lock();
        Some(store.save(&self.all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Keeps users in memory, as another place than a file would.
    #[derive(Clone, Default)]
    struct Shelf {
        users: Arc<Mutex<haypile_acl::Users>>,
        broken: Arc<AtomicBool>,
    }

    impl UserStore for Shelf {
        fn load(&self, _: Defaults) -> Result<haypile_acl::Users, LoadError> {
            match self.broken.load(Ordering::Relaxed) {
                true => Err(LoadError("no".into())),
                false => Ok(self.users.lock().clone()),
            }
        }

        fn save(&self, users: &haypile_acl::Users) -> Result<(), SaveError> {
            if self.broken.load(Ordering::Relaxed) {
                let source = io::ErrorKind::StorageFull.into();
                return Err(SaveError {
                    place: "shelf".into(),
                    source,
                });
            }
            *self.users.lock() = users.clone();
            Ok(())
        }
    }

    fn users(shelf: &Shelf) -> Users {
        Users::of(Default::default(), User::everybody(), Some(Box::new(shelf.clone())))
    }

    const NONE: Defaults = Defaults { all_channels: false };

    #[test]
    fn a_change_is_seen_through_the_account_that_a_connection_holds() {
        let users = users(&Shelf::default());
        assert!(
            users
                .apply(b"ann", &["on", ">pw", "allcommands", "~*"], NONE)
                .unwrap()
                .is_none()
        );
        assert!(users.log_in(b"ann", b"wrong").is_none() && users.log_in(b"bob", b"pw").is_none());
        let ann = users.log_in(b"ann", b"pw").unwrap();
        assert!(!ann.is_unrestricted());
        users.apply(b"ann", &["&*"], NONE).unwrap();
        assert!(ann.is_unrestricted());
        // All or none.
        assert!(users.apply(b"ann", &["off", "nonsense"], NONE).is_err());
        assert!(ann.is_unrestricted() && ann.user().is_enabled());
        users.apply(b"ann", &["-get"], NONE).unwrap();
        assert!(!ann.is_unrestricted());
        let deleted = users.delete([&b"ann"[..], b"default", b"bob"].into_iter());
        assert_eq!(deleted.len(), 1);
        assert!(ann.is_gone() && !ann.user().admits(b"pw"));
        assert!(users.get(b"default").is_some());
    }

    #[test]
    fn what_is_kept_elsewhere_is_all_there_is() {
        let shelf = Shelf::default();
        let users = users(&shelf);
        let everybody = users.everybody().clone();
        users.apply(b"ann", &["on"], NONE).unwrap();
        users.save().unwrap().unwrap();
        users.apply(b"ann", &["nopass"], NONE).unwrap();
        users.apply(b"bob", &["on", "nopass"], NONE).unwrap();
        users.apply(b"default", &["-get"], NONE).unwrap();
        let [ann, bob] = [&b"ann"[..], b"bob"].map(|name| users.get(name).unwrap());

        shelf.broken.store(true, Ordering::Relaxed);
        assert!(users.load(NONE, "").unwrap().is_err() && users.save().unwrap().is_err());
        assert!(ann.user().is_open() && !bob.is_gone());
        shelf.broken.store(false, Ordering::Relaxed);

        let loaded = users.load(NONE, "").unwrap().unwrap();
        assert_eq!((loaded.changed.len(), loaded.gone.len()), (2, 1));
        assert!(!ann.user().is_open() && bob.is_gone() && everybody.is_unrestricted());

        // A default user that nobody speaks of has the password of the configuration.
        shelf.users.lock().remove(DEFAULT_USER.as_bytes());
        users.load(NONE, "secret").unwrap().unwrap();
        assert!(!everybody.user().is_open() && everybody.user().admits(b"secret"));
        assert!(Arc::ptr_eq(&everybody, &users.get(b"default").unwrap()));
    }
}
