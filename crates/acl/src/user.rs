//! A user: flags, hashes of passwords and selectors, made of rules and described by them.

use crate::{ApplyError, Hash, RuleError, Selector};

/// What a user has that no rule has said anything of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `acl-pubsub-default allchannels`
    pub all_channels: bool,
}

/// Who somebody is, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    enabled: bool,
    /// Any password is right.
    nopass: bool,
    skip_sanitize: bool,
    passwords: Vec<Hash>,
    root: Selector,
    selectors: Vec<Selector>,
}

impl User {
    /// Somebody new: may not log in, and may do nothing.
    pub fn new(defaults: Defaults) -> User {
        User {
            enabled: false,
            nopass: false,
            skip_sanitize: false,
            passwords: Vec::new(),
            root: Selector::new(defaults),
            selectors: Vec::new(),
        }
    }

    /// The default user as nothing is said of it: everybody is that, and may do everything.
    pub fn everybody() -> User {
        let mut user = User::new(Defaults { all_channels: true });
        user.enabled = true;
        user.nopass = true;
        user.root = Selector::everything();
        user
    }

    /// True if logging in is possible at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// True if any password is right.
    pub fn takes_any_password(&self) -> bool {
        self.nopass
    }

    /// True if who says nothing is this user.
    pub fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    /// True if who gives this password may be this user.
    pub fn admits(&self, password: &[u8]) -> bool {
        let given = Hash::of(password);
        // All are looked at, whichever it is.
        let known = self.passwords.iter().fold(false, |known, hash| known | hash.is(&given));
        self.enabled && (self.nopass || known)
    }

    /// True if there is nothing that it may not do.
    pub fn is_unrestricted(&self) -> bool {
        self.all_selectors().any(Selector::is_unrestricted)
    }

    /// True if it may listen to the channel, or to a pattern of channels.
    pub fn may_listen(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors()
            .any(|selector| selector.allows_channel(channel, is_pattern))
    }

    /// The hashes of its passwords.
    pub fn passwords(&self) -> &[Hash] {
        &self.passwords
    }

    /// What it may do outside of parentheses.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// What it may do besides.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The root and the others.
    pub(crate) fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// The words for what is neither password nor selector.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let sanitize = match self.skip_sanitize {
            true => "skip-sanitize-payload",
            false => "sanitize-payload",
        };
        [
            Some(if self.enabled { "on" } else { "off" }),
            self.nopass.then_some("nopass"),
            Some(sanitize),
        ]
        .into_iter()
        .flatten()
    }

    /// Lets this password be the only one; without one, any.
    pub fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords.clear();
        self.passwords.extend(password.map(Hash::of));
        self.nopass = password.is_none();
    }

    /// Carries out rules, all or none. A selector may be spread over several of them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn apply_all<R: AsRef<[u8]>>(&mut self, rules: &[R], defaults: Defaults) -> Result<(), ApplyError> {
        let mut changed = self.clone();
        for rule in merged(rules)? {
            changed.apply(&rule, defaults).map_err(|error| ApplyError::Rule {
                rule: rule.clone(),
                error,
            })?;
        }
        *self = changed;
        Ok(())
    }

    /// Carries out one rule.
    ///
    /// # Errors
    /// It is none, or makes no sense here; then nothing has changed.
    pub fn apply(&mut self, rule: &[u8], defaults: Defaults) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("skip-sanitize-payload") => self.skip_sanitize = true,
            _ if is("sanitize-payload") => self.skip_sanitize = false,
            _ if is("nopass") => self.set_password(None),
            _ if is("resetpass") => {
                self.passwords.clear();
                self.nopass = false;
            }
            [b'>', password @ ..] => self.add_password(Hash::of(password)),
            [b'#', hash @ ..] => self.add_password(Hash::parse(hash)?),
            [b'<', password @ ..] => self.remove_password(Hash::of(password))?,
            [b'!', hash @ ..] => self.remove_password(Hash::parse(hash)?)?,
            [b'(', inner @ .., b')'] => self.selectors.push(Selector::parse(inner, defaults)?),
            _ if is("clearselectors") => self.selectors.clear(),
            _ if is("reset") => *self = User::new(defaults),
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|known| *known == hash);
        self.passwords.remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// The rules that make this user of a new one, with spaces between them, in the order of Redis.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for flag in self.flags() {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for hash in &self.passwords {
            text.extend_from_slice(format!("#{hash} ").as_bytes());
        }
        self.root.describe(&mut text);
        for selector in &self.selectors {
            text.extend_from_slice(b" (");
            selector.describe(&mut text);
            text.push(b')');
        }
        text
    }
}

/// Rules with those together that are one selector.
fn merged<R: AsRef<[u8]>>(rules: &[R]) -> Result<Vec<Vec<u8>>, ApplyError> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for rule in rules.iter().map(AsRef::as_ref) {
        match &mut open {
            None if rule.starts_with(b"(") && !rule.ends_with(b")") => open = Some(rule.to_vec()),
            None => merged.push(rule.to_vec()),
            Some(selector) => {
                selector.push(b' ');
                selector.extend_from_slice(rule);
                if rule.ends_with(b")") {
                    merged.extend(open.take());
                }
            }
        }
    }
    match open {
        None => Ok(merged),
        // Named by its first word.
        Some(selector) => {
            let first = selector.split(|byte| *byte == b' ').next().unwrap_or_default();
            Err(ApplyError::Unmatched(first.to_vec()))
        }
    }
}
