//! The table of all commands.

use std::sync::LazyLock;

use hashbrown::HashMap;

use haypile_resp::Request;

use crate::{Categories, CommandError, KeyEvent, Spec};

/// All commands by family.
pub static COMMANDS: &[&[Spec]] = &[
    crate::string::COMMANDS,
    crate::bitmap::COMMANDS,
    crate::hll::COMMANDS,
    crate::key::COMMANDS,
    crate::list::COMMANDS,
    crate::set::COMMANDS,
    crate::zset::COMMANDS,
    crate::geo::COMMANDS,
    crate::hash::COMMANDS,
    crate::server::CONNECTION,
    crate::server::PUBSUB,
    crate::server::TRANSACTIONS,
    crate::server::ADMIN,
    crate::server::INTROSPECTION,
    crate::server::USERS,
    crate::server::TOPOLOGY,
];

/// A command in the table, with what follows from its spec.
pub struct Known {
    /// What it is.
    pub spec: &'static Spec,
    /// A number of its own, below [`count`]: for tables of statistics.
    pub id: usize,
    /// `get`, or for a subcommand `config|get`.
    pub full_name: String,
    /// See [`Spec::all_categories`].
    pub categories: Categories,
    /// See [`KeyEvent::of_command`].
    pub event: Option<KeyEvent>,
    /// Its subcommands.
    pub subcommands: Vec<Known>,
}

impl Known {
    /// The subcommand of this name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Known> {
        self.subcommands
            .iter()
            .find(|s| name.eq_ignore_ascii_case(s.spec.name.as_bytes()))
    }
}

struct Table {
    by_name: HashMap<&'static [u8], Known>,
    count: usize,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut count = 0;
    let mut number = || {
        count += 1;
        count - 1
    };
    let mut by_name = HashMap::new();
    for spec in all() {
        let known = |spec: &'static Spec, full_name, id| Known {
            spec,
            id,
            full_name,
            categories: spec.all_categories(),
            event: KeyEvent::of_command(spec.name),
            subcommands: Vec::new(),
        };
        let mut parent = known(spec, spec.name.to_owned(), number());
        for sub in spec.subcommands {
            parent
                .subcommands
                .push(known(sub, format!("{}|{}", spec.name, sub.name), number()));
        }
        by_name.insert(spec.name.as_bytes(), parent);
    }
    Table { by_name, count }
});

/// Every command, containers included, subcommands not.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|family| family.iter())
}

/// Every command as the table has it, containers included, subcommands not.
pub fn known() -> impl Iterator<Item = &'static Known> {
    all().filter_map(|spec| TABLE.by_name.get(spec.name.as_bytes()))
}

/// Every command, containers included, and behind each its subcommands.
pub fn known_with_subcommands() -> impl Iterator<Item = &'static Known> {
    known().flat_map(|known| std::iter::once(known).chain(&known.subcommands))
}

/// The full name of the command or subcommand with this [`Known::id`].
pub fn name_of(id: usize) -> Option<&'static str> {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut names = vec![""; count()];
        for known in known_with_subcommands() {
            names[known.id] = &known.full_name;
        }
        names
    });
    NAMES.get(id).copied()
}

/// Number of commands and subcommands.
pub fn count() -> usize {
    TABLE.count
}

/// Longest name of a command; what is longer is not one.
const NAME_BYTES_MAX: usize = 32;

/// The command of this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Known> {
    let mut lower = [0u8; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    TABLE.by_name.get(&*lower)
}

/// The command that a request means, its subcommand if it has one, with the number of arguments checked.
pub fn resolve(request: &Request) -> Result<&'static Known, CommandError> {
    admitted(lookup(request)?, request)
}

/// The same for one of several requests that follow each other. Most have the name of the one before, and `last` is what that means.
pub fn resolve_next(request: &Request, last: &mut Option<&'static Known>) -> Result<&'static Known, CommandError> {
    let name = &request[0];
    let named = match last.filter(|known| name.eq_ignore_ascii_case(known.spec.name.as_bytes())) {
        Some(known) => known,
        None => *last.insert(find(name).ok_or_else(|| unknown(request))?),
    };
    admitted(meant(named, request)?, request)
}

fn admitted(known: &'static Known, request: &Request) -> Result<&'static Known, CommandError> {
    if !known.spec.admits(request.len()) {
        let text = format!("ERR wrong number of arguments for '{}' command", known.full_name);
        return Err(CommandError::reply(text));
    }
    Ok(known)
}

/// The command that a request means, its subcommand if it has one, whatever the number of arguments.
pub fn lookup(request: &Request) -> Result<&'static Known, CommandError> {
    meant(find(&request[0]).ok_or_else(|| unknown(request))?, request)
}

/// A command, or the subcommand of it that a request means.
fn meant(known: &'static Known, request: &Request) -> Result<&'static Known, CommandError> {
    if known.subcommands.is_empty() || request.len() < 2 {
        return Ok(known);
    }
    let sub = &request[1];
    known.subcommand(sub).ok_or_else(|| unknown_subcommand(known.spec, sub))
}

/// The command of a full name, `get` or `config|get`, in any case.
pub fn find_full(name: &[u8]) -> Option<&'static Known> {
    let mut parts = name.split(|&b| b == b'|');
    let known = find(parts.next()?)?;
    match (parts.next(), parts.next()) {
        (None, _) => Some(known),
        (Some(sub), None) => known.subcommand(sub),
        (Some(_), Some(_)) => None,
    }
}

/// Redis' text for a subcommand that a command does not have.
pub fn unknown_subcommand(spec: &Spec, sub: &[u8]) -> CommandError {
    let shown = String::from_utf8_lossy(&sub[..sub.len().min(128)]).into_owned();
    CommandError::reply(format!(
        "ERR unknown subcommand '{shown}'. Try {} HELP.",
        spec.name.to_uppercase()
    ))
}

fn unknown(request: &Request) -> CommandError {
    let shown = |arg: &[u8]| String::from_utf8_lossy(&arg[..arg.len().min(128)]).into_owned();
    let mut args = String::new();
    for arg in request.iter().skip(1) {
        if args.len() >= 128 {
            break;
        }
        args.push_str(&format!("'{}' ", shown(arg)));
    }
    CommandError::reply(format!(
        "ERR unknown command '{}', with args beginning with: {args}",
        shown(&request[0])
    ))
}
