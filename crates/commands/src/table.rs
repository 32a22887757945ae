//! The table of all commands.

use std::collections::HashMap;
use std::sync::LazyLock;

use haypile_resp::Request;

use crate::{CommandError, Spec};

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
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Spec>> =
    LazyLock::new(|| all().map(|spec| (spec.name, spec)).collect());

/// Every command, containers included, subcommands not.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|family| family.iter())
}

/// Longest name of a command; what is longer is not one.
const NAME_BYTES_MAX: usize = 32;

/// The command of this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    let mut lower = [0u8; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(std::str::from_utf8(lower).ok()?).copied()
}

/// The command that a request means, its subcommand if it has one, with the number of arguments checked.
pub fn resolve(request: &Request) -> Result<&'static Spec, CommandError> {
    let spec = find(&request[0]).ok_or_else(|| unknown(request))?;
    let mut full = spec;
    if !spec.subcommands.is_empty() && request.len() > 1 {
        let sub = &request[1];
        full = spec
            .subcommands
            .iter()
            .find(|s| sub.eq_ignore_ascii_case(s.name.as_bytes()))
            .ok_or_else(|| unknown_subcommand(spec, sub))?;
    }
    let given = request.len() as i64;
    let arity = i64::from(full.arity);
    if (arity >= 0 && given != arity) || given < -arity {
        let name = if std::ptr::eq(full, spec) {
            spec.name.to_owned()
        } else {
            format!("{}|{}", spec.name, full.name)
        };
        return Err(CommandError::reply(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    Ok(full)
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
