//! Whether a user may run a command.

use haypile_commands::table::Known;
use haypile_commands::{Channels, Flags};
use haypile_resp::Request;

use crate::{Selector, User};

/// What a user may not do; where several selectors say different things, the last in this order, and of the same ones that
/// of the argument that comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// Run the command at all.
    Command,
    /// Do this with the key that is this argument.
    Key(usize),
    /// Send to the channel that is this argument, or listen to it.
    Channel(usize),
}

impl User {
    /// Whether the user may run this command with these arguments: whether one of its selectors allows all of that.
    ///
    /// # Errors
    /// What it may not do.
    pub fn check(&self, known: &Known, request: &Request) -> Result<(), Denial> {
        let mut denial = Denial::Command;
        for selector in self.all_selectors() {
            match selector.check(known, request) {
                Ok(()) => return Ok(()),
                Err(other) => denial = denial.max(other),
            }
        }
        Err(denial)
    }
}

impl Selector {
    fn check(&self, known: &Known, request: &Request) -> Result<(), Denial> {
        let spec = known.spec;
        if !spec.flags.has(Flags::NO_AUTH) && !self.commands.allow(known, request.get(1)) {
            return Err(Denial::Command);
        }
        let [first, others] = spec.access.of(spec.flags, request);
        let (mut access, mut denied) = (first, None);
        spec.keys.each(request, |at| {
            if denied.is_none() && access.is_key() && !self.allows_key(&request[at], access) {
                denied = Some(Denial::Key(at));
            }
            access = others;
        });
        let (last, patterns) = match spec.channels {
            Channels::None => (0, false),
            Channels::First => (1, false),
            Channels::All => (request.len().saturating_sub(1), false),
            Channels::Patterns => (request.len().saturating_sub(1), true),
        };
        let denied = denied.or_else(|| {
            (1..=last)
                .find(|at| !self.allows_channel(&request[*at], patterns))
                .map(Denial::Channel)
        });
        denied.map_or(Ok(()), Err)
    }
}
