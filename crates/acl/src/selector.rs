//! A selector: which commands, with which keys and channels.

use haypile_commands::{Access, glob};

use crate::command_rules::CommandRules;
use crate::{Defaults, RuleError, is_space};

/// Everything, or what fits one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach<T> {
    /// Everything.
    All,
    /// What fits one of these.
    Only(Vec<T>),
}

impl<T> Reach<T> {
    const NOTHING: Reach<T> = Reach::Only(Vec::new());

    fn is_all(&self) -> bool {
        matches!(self, Reach::All)
    }
}

/// Which keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// As that of KEYS.
    pub pattern: Vec<u8>,
    /// `%R~`: they may be read.
    pub read: bool,
    /// `%W~`: they may be written.
    pub write: bool,
}

impl KeyPattern {
    fn fits(&self, key: &[u8], access: Access) -> bool {
        (self.read || !access.reads()) && (self.write || !access.writes()) && glob::matches(&self.pattern, key)
    }

    fn describe(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(match (self.read, self.write) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        });
        text.extend_from_slice(&self.pattern);
    }
}

/// Which commands, with which keys and channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    pub(crate) commands: CommandRules,
    keys: Reach<KeyPattern>,
    channels: Reach<Vec<u8>>,
}

impl Selector {
    /// It allows nothing, but all channels if that is the default.
    pub(crate) fn new(defaults: Defaults) -> Self {
        Selector {
            commands: CommandRules::none(),
            keys: Reach::NOTHING,
            channels: if defaults.all_channels {
                Reach::All
            } else {
                Reach::NOTHING
            },
        }
    }

    /// It allows everything.
    pub(crate) fn everything() -> Self {
        let mut commands = CommandRules::none();
        commands.reset(true);
        Selector {
            commands,
            keys: Reach::All,
            channels: Reach::All,
        }
    }

    /// Of the rules between its parentheses.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn parse(inner: &[u8], defaults: Defaults) -> Result<Selector, RuleError> {
        let mut selector = Selector::new(defaults);
        for rule in inner.split(|byte| is_space(*byte)).filter(|rule| !rule.is_empty()) {
            // Where it is printed, the selector would seem to end there.
            if rule.ends_with(b")") {
                return Err(RuleError::Syntax);
            }
            selector.apply(rule)?;
        }
        Ok(selector)
    }

    /// True if it allows everything.
    pub fn is_unrestricted(&self) -> bool {
        self.commands.are_all() && self.keys.is_all() && self.channels.is_all()
    }

    /// The keys that it allows.
    pub fn keys(&self) -> &Reach<KeyPattern> {
        &self.keys
    }

    /// The channels that it allows.
    pub fn channels(&self) -> &Reach<Vec<u8>> {
        &self.channels
    }

    /// True if it allows to do that with the key.
    pub(crate) fn allows_key(&self, key: &[u8], access: Access) -> bool {
        match &self.keys {
            Reach::All => true,
            Reach::Only(patterns) => patterns.iter().any(|pattern| pattern.fits(key, access)),
        }
    }

    /// True if it allows the channel, or the pattern of channels: that has to be among its own patterns as it stands.
    pub(crate) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        match &self.channels {
            Reach::All => true,
            Reach::Only(patterns) if is_pattern => patterns.iter().any(|pattern| pattern == channel),
            Reach::Only(patterns) => patterns.iter().any(|pattern| glob::matches(pattern, channel)),
        }
    }

    /// Carries out one rule.
    ///
    /// # Errors
    /// It is none, or makes no sense here; then nothing has changed.
    pub(crate) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || is("~*") => self.keys = Reach::All,
            _ if is("resetkeys") => self.keys = Reach::NOTHING,
            _ if is("allchannels") || is("&*") => self.channels = Reach::All,
            _ if is("resetchannels") => self.channels = Reach::NOTHING,
            _ if is("allcommands") || is("+@all") => self.commands.reset(true),
            _ if is("nocommands") || is("-@all") => self.commands.reset(false),
            [b'~', pattern @ ..] => self.add_keys(pattern, true, true)?,
            [b'%', permissions @ ..] => self.add_keys_with(permissions)?,
            [b'&', pattern @ ..] => self.add_channels(pattern)?,
            [b'+', name @ ..] => self.commands.apply(true, name)?,
            [b'-', name @ ..] => self.commands.apply(false, name)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    /// `R~pattern`, `W~pattern`, `RW~pattern`
    fn add_keys_with(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.keys.is_all() {
            return Err(RuleError::AllKeys);
        }
        // Redis takes `%R` for `%R~`, the pattern of the empty key.
        let end = rule.iter().position(|byte| *byte == b'~').unwrap_or(rule.len());
        let (read, write) = match rule[..end].to_ascii_uppercase().as_slice() {
            b"R" => (true, false),
            b"W" => (false, true),
            b"RW" | b"WR" => (true, true),
            _ => return Err(RuleError::Syntax),
        };
        self.add_keys(rule.get(end + 1..).unwrap_or_default(), read, write)
    }

    fn add_keys(&mut self, pattern: &[u8], read: bool, write: bool) -> Result<(), RuleError> {
        let Reach::Only(patterns) = &mut self.keys else {
            return Err(RuleError::AllKeys);
        };
        if pattern.iter().any(|byte| is_space(*byte)) {
            return Err(RuleError::Syntax);
        }
        let place = match patterns.iter().position(|known| known.pattern == pattern) {
            Some(place) => place,
            None => {
                patterns.push(KeyPattern {
                    pattern: pattern.to_vec(),
                    read: false,
                    write: false,
                });
                patterns.len() - 1
            }
        };
        let known = &mut patterns[place];
        (known.read, known.write) = (known.read || read, known.write || write);
        if known.pattern == b"*" && known.read && known.write {
            // `%RW~*` is printed as `~*`, behind which no other pattern may stand.
            self.keys = Reach::All;
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let Reach::Only(patterns) = &mut self.channels else {
            return Err(RuleError::AllChannels);
        };
        if pattern.iter().any(|byte| is_space(*byte)) {
            return Err(RuleError::Syntax);
        }
        if !patterns.iter().any(|known| known == pattern) {
            patterns.push(pattern.to_vec());
        }
        Ok(())
    }

    /// The rules about commands that make it what it is.
    pub fn describe_commands(&self) -> Vec<u8> {
        self.commands.describe()
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        match &self.keys {
            Reach::All => b"~*".to_vec(),
            Reach::Only(patterns) => joined(patterns, |pattern, text| pattern.describe(text)),
        }
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        match &self.channels {
            Reach::All => b"&*".to_vec(),
            Reach::Only(patterns) => joined(patterns, |pattern, text| {
                text.push(b'&');
                text.extend_from_slice(pattern);
            }),
        }
    }

    /// All of them, in the order of Redis.
    pub(crate) fn describe(&self, text: &mut Vec<u8>) {
        let mut add = |rules: &[u8]| {
            if !rules.is_empty() {
                text.extend_from_slice(rules);
                text.push(b' ');
            }
        };
        add(&self.describe_keys());
        if !self.channels.is_all() {
            add(b"resetchannels");
        }
        add(&self.describe_channels());
        text.extend_from_slice(&self.describe_commands());
    }
}

/// With spaces between them.
fn joined<T>(all: &[T], describe: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::new();
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            text.push(b' ');
        }
        describe(one, &mut text);
    }
    text
}
