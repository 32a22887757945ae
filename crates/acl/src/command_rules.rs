//! Which commands a selector allows: a bit for each, and the rules that have set them, by which they are shown and set
//! again when other commands are there.

use std::collections::{BTreeMap, BTreeSet};

use haypile_commands::Categories;
use haypile_commands::table::{self, Known};

use crate::{RuleError, is_space};

/// The commands that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandRules {
    /// It began with all commands, those included that are not there yet.
    from_all: bool,
    /// Every bit is set.
    all: bool,
    /// One for each [`Known::id`].
    bits: Box<[u64]>,
    /// Commands of which only those requests are allowed that have one of these as their first argument. In whatever order they were
    /// named: users who may do the same are the same.
    first_args: BTreeMap<usize, BTreeSet<Vec<u8>>>,
    /// What has been said since all commands were allowed or none: whether to allow, and the name of a command or category in
    /// lower case.
    rules: Vec<(bool, Vec<u8>)>,
}

impl CommandRules {
    /// None.
    pub(crate) fn none() -> Self {
        CommandRules {
            from_all: false,
            all: false,
            bits: vec![0; table::count().div_ceil(64)].into(),
            first_args: BTreeMap::new(),
            rules: Vec::new(),
        }
    }

    /// True if every command is allowed.
    pub(crate) fn are_all(&self) -> bool {
        self.all
    }

    /// True if the command is allowed; `first` is its first argument.
    pub(crate) fn allow(&self, known: &Known, first: Option<&[u8]>) -> bool {
        self.all || self.bit(known.id) || first.is_some_and(|first| self.allow_first(known.id, first))
    }

    fn allow_first(&self, id: usize, first: &[u8]) -> bool {
        let of_command = self.first_args.get(&id);
        of_command.is_some_and(|allowed| allowed.iter().any(|arg| arg.eq_ignore_ascii_case(first)))
    }

    fn bit(&self, id: usize) -> bool {
        self.bits[id / 64] & 1 << (id % 64) != 0
    }

    fn set(&mut self, id: usize, allow: bool) {
        let bit = 1 << (id % 64);
        match allow {
            true => self.bits[id / 64] |= bit,
            false => self.bits[id / 64] &= !bit,
        }
    }

    /// All commands, or none.
    pub(crate) fn reset(&mut self, allow: bool) {
        *self = CommandRules::none();
        self.from_all = allow;
        if allow {
            (0..table::count()).for_each(|id| self.set(id, true));
        }
        self.count();
    }

    fn count(&mut self) {
        self.all = (0..table::count()).all(|id| self.bit(id));
    }

    /// Carries out `+get`, `-config|set`, `+@read`, `+select|0`: what stands behind the sign.
    pub(crate) fn apply(&mut self, allow: bool, name: &[u8]) -> Result<(), RuleError> {
        match name.strip_prefix(b"@") {
            Some(category) => self.apply_category(allow, category)?,
            None => self.apply_command(allow, name)?,
        }
        let name = name.to_ascii_lowercase();
        // A later rule about the same, or about the whole command, leaves nothing of an earlier one.
        let is_part = |rule: &[u8]| {
            rule.strip_prefix(&name[..])
                .is_some_and(|rest| matches!(rest, [] | [b'|', ..]))
        };
        self.rules.retain(|(_, rule)| !is_part(rule));
        self.rules.push((allow, name));
        self.count();
        Ok(())
    }

    fn apply_category(&mut self, allow: bool, name: &[u8]) -> Result<(), RuleError> {
        let category = Categories::find(name).ok_or(RuleError::Unknown)?;
        for known in table::known_with_subcommands() {
            if known.categories.has(category) {
                self.apply_known(allow, known);
            }
        }
        Ok(())
    }

    fn apply_command(&mut self, allow: bool, name: &[u8]) -> Result<(), RuleError> {
        if let Some(known) = table::find_full(name) {
            self.apply_known(allow, known);
            return Ok(());
        }
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|').filter(|_| allow) else {
            return Err(RuleError::Unknown);
        };
        let (command, first) = (&name[..bar], &name[bar + 1..]);
        let known = table::find_full(command).ok_or(RuleError::Unknown)?;
        if command.contains(&b'|') {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        // Redis takes white space too, and does not read back then what it prints.
        if first.is_empty() || first.iter().any(|byte| is_space(*byte)) {
            return Err(RuleError::Syntax);
        }
        if !known.subcommands.is_empty() {
            return Err(RuleError::Unknown);
        }
        let allowed = self.first_args.entry(known.id).or_default();
        allowed.insert(first.to_ascii_lowercase());
        Ok(())
    }

    fn apply_known(&mut self, allow: bool, known: &Known) {
        self.set(known.id, allow);
        self.first_args.remove(&known.id);
        known.subcommands.iter().for_each(|sub| self.set(sub.id, allow));
    }

    /// The rules that allow the same commands, with spaces between them.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let mut text = match self.from_all {
            true => b"+@all".to_vec(),
            false => b"-@all".to_vec(),
        };
        for (allow, name) in &self.rules {
            text.extend_from_slice(if *allow { b" +" } else { b" -" });
            text.extend_from_slice(name);
        }
        text
    }
}
