//! ACL: users and what they may do.

use std::sync::Arc;

use haypile_acl::{DEFAULT_USER, Denial, Selector, User, is_name, text};
use haypile_commands::args::{integer, is};
use haypile_commands::table::{self, Known};
use haypile_commands::{Categories, CommandError, Outcome};
use haypile_node::random;
use haypile_resp::{Reply, Request};

use super::{Execute, ServerCx};
use crate::pubsub::Sort;
use crate::users::{self, Account, Changed, DenialEntry};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("acl|cat", cat),
    ("acl|deluser", deluser),
    ("acl|dryrun", dryrun),
    ("acl|genpass", genpass),
    ("acl|getuser", getuser),
    ("acl|list", list),
    ("acl|load", load),
    ("acl|log", log),
    ("acl|save", save),
    ("acl|setuser", setuser),
    ("acl|users", names),
    ("acl|whoami", whoami),
];

/// Bits of a password that ACL GENPASS makes if it is not told, and at most.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;
/// Entries that ACL LOG gives if it is not told.
const LOG_COUNT: usize = 10;

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Redis' reply to a number of arguments that only the subcommand knows to be wrong.
fn wrong_arguments(request: &Request) -> CommandError {
    CommandError::reply(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.",
        shown(&request[1])
    ))
}

fn whoami(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.bulk(cx.session.account.name());
    Ok(())
}

fn names(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let users = cx.server.users.all();
    cx.reply.array(users.len());
    users.keys().for_each(|name| cx.reply.bulk(name));
    Ok(())
}

fn list(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let users = cx.server.users.all();
    cx.reply.array(users.len());
    users
        .iter()
        .for_each(|(name, user)| cx.reply.bulk(&text::line(name, user)));
    Ok(())
}

fn getuser(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let Some(account) = cx.server.users.get(&request[2]) else {
        cx.reply.null();
        return Ok(());
    };
    let (user, reply) = (account.user(), &mut *cx.reply);
    reply.map(6);
    reply.bulk_str("flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk_str(flag));
    reply.bulk_str("passwords");
    reply.array(user.passwords().len());
    user.passwords()
        .iter()
        .for_each(|hash| reply.bulk_str(&hash.to_string()));
    write_selector(reply, user.root());
    reply.bulk_str("selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        write_selector(reply, selector);
    }
    Ok(())
}

/// Three fields.
fn write_selector(reply: &mut Reply, selector: &Selector) {
    for (name, rules) in [
        ("commands", selector.describe_commands()),
        ("keys", selector.describe_keys()),
        ("channels", selector.describe_channels()),
    ] {
        reply.bulk_str(name);
        reply.bulk(&rules);
    }
}

fn setuser(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let name = &request[2];
    if !is_name(name) {
        return Err(CommandError::reply(
            "ERR Usernames can't contain spaces or null characters",
        ));
    }
    let rules: Vec<&[u8]> = request.iter().skip(3).collect();
    let defaults = users::defaults(&cx.node.config.load());
    let changed = cx.server.users.apply(name, &rules, defaults);
    let changed = changed.map_err(|error| CommandError::reply(format!("ERR {error}")))?;
    if let Some(changed) = changed {
        end_listeners(cx, &changed);
    }
    cx.reply.ok();
    Ok(())
}

/// Ends the connections of a user that listen to what it may not listen to any more.
fn end_listeners(cx: &mut ServerCx<'_, '_>, changed: &Changed) {
    let (account, now) = (&changed.account, changed.account.user());
    let lost = |sort, channel: &[u8]| {
        let may = |user: &User| user.may_listen(channel, sort == Sort::Pattern);
        may(&changed.before) && !may(&now)
    };
    let listeners = cx
        .server
        .pubsub
        .listeners_to(|sort, channel, client| Arc::ptr_eq(account, &client.user.lock()) && lost(sort, channel));
    for client in listeners {
        end(cx, client.id);
    }
}

/// Ends the connections of a user who is not there any more.
fn end_clients_of(cx: &mut ServerCx<'_, '_>, gone: &[Arc<Account>]) {
    for client in cx.server.clients.all() {
        let is_gone = gone.iter().any(|account| Arc::ptr_eq(account, &client.user.lock()));
        if is_gone {
            end(cx, client.id);
        }
    }
}

/// Ends a connection; that of whoever asks for it after the reply.
fn end(cx: &mut ServerCx<'_, '_>, id: u64) {
    if id == cx.client.id {
        cx.session.close = true;
    } else if let Some(client) = cx.server.clients.get(id) {
        cx.server.clients.close(&client);
    }
}

fn deluser(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let names = || request.iter().skip(2);
    if names().any(|name| name == DEFAULT_USER.as_bytes()) {
        return Err(CommandError::reply("ERR The 'default' user cannot be removed"));
    }
    let deleted = cx.server.users.delete(names());
    end_clients_of(cx, &deleted);
    cx.reply.integer(deleted.len() as i64);
    Ok(())
}

fn cat(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let category = match request.len() {
        2 => {
            cx.reply.array(Categories::ALL.len());
            Categories::ALL.iter().for_each(|(_, name)| cx.reply.bulk_str(name));
            return Ok(());
        }
        3 => Categories::find(&request[2]),
        _ => return Err(wrong_arguments(request)),
    };
    let category = category.ok_or_else(|| {
        let name = &request[2];
        CommandError::reply(format!(
            "ERR Unknown category '{}'",
            shown(&name[..name.len().min(128)])
        ))
    })?;
    let fits = |known: &&Known| known.categories.has(category);
    cx.reply.array(table::known_with_subcommands().filter(fits).count());
    table::known_with_subcommands()
        .filter(fits)
        .for_each(|known| cx.reply.bulk_str(&known.full_name));
    Ok(())
}

fn genpass(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let bits = match request.len() {
        2 => PASSWORD_BITS,
        3 => integer(&request[2])?,
        _ => return Err(wrong_arguments(request)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CommandError::reply(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             {PASSWORD_BITS_MAX}"
        )));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    random::secret(&mut bytes)
        .map_err(|error| CommandError::reply(format!("ERR the system gives no random bytes: {error}")))?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    cx.reply.bulk_str(&password[..digits]);
    Ok(())
}

fn dryrun(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let account = cx.server.users.get(&request[2]).ok_or_else(|| {
        let name = shown(&request[2]);
        CommandError::reply(format!("ERR User '{name}' not found"))
    })?;
    let inner = Request::from_args(request.iter().skip(3));
    let known = table::lookup(&inner).map_err(|_| {
        let command = shown(&request[3]);
        CommandError::reply(format!("ERR Command '{command}' not found"))
    })?;
    if !known.spec.admits(inner.len()) {
        return Err(CommandError::reply(format!(
            "ERR wrong number of arguments for '{}' command",
            known.full_name
        )));
    }
    let user = shown(account.name());
    let denied = match account.user().check(known, &inner) {
        Ok(()) => {
            cx.reply.ok();
            return Ok(());
        }
        Err(Denial::Command) => format!("run the '{}' command", known.full_name),
        Err(Denial::Key(at)) => format!("access the '{}' key", shown(&inner[at])),
        Err(Denial::Channel(at)) => format!("access the '{}' channel", shown(&inner[at])),
    };
    cx.reply
        .bulk_str(&format!("User {user} has no permissions to {denied}"));
    Ok(())
}

fn no_file() -> CommandError {
    CommandError::reply(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
         command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
         in the Redis configuration.",
    )
}

fn load(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let values = cx.node.config.get();
    let loaded = cx.server.users.load(users::defaults(&values), &values.requirepass);
    let loaded = loaded.ok_or_else(no_file)?.map_err(|error| {
        CommandError::reply(format!(
            "ERR {error}WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        ))
    })?;
    end_clients_of(cx, &loaded.gone);
    loaded.changed.iter().for_each(|changed| end_listeners(cx, changed));
    tracing::info!(
        changed = loaded.changed.len(),
        gone = loaded.gone.len(),
        "the users were loaded from their file"
    );
    cx.reply.ok();
    Ok(())
}

fn save(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let saved = cx.server.users.save().ok_or_else(no_file)?;
    saved.map_err(|error| {
        tracing::error!("{error}");
        CommandError::reply(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )
    })?;
    tracing::info!("the users were saved to their file");
    cx.reply.ok();
    Ok(())
}

fn log(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let denials = &cx.server.users.denials;
    let count = match request.get(2) {
        _ if request.len() > 3 => return Err(wrong_arguments(request)),
        None => LOG_COUNT,
        Some(word) if is(word, "RESET") => {
            denials.reset();
            cx.reply.ok();
            return Ok(());
        }
        Some(count) => integer(count)?.max(0) as usize,
    };
    let entries = denials.newest(count);
    let now_ms = cx.node.clock.now_ms();
    cx.reply.array(entries.len());
    entries.iter().for_each(|entry| write_entry(cx.reply, entry, now_ms));
    Ok(())
}

fn write_entry(reply: &mut Reply, entry: &DenialEntry, now_ms: u64) {
    reply.map(10);
    reply.bulk_str("count");
    reply.integer(entry.count as i64);
    for (field, text) in [
        ("reason", entry.reason.name().as_bytes()),
        ("context", entry.context.name().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ] {
        reply.bulk_str(field);
        reply.bulk(text);
    }
    reply.bulk_str("age-seconds");
    reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    reply.bulk_str("client-info");
    reply.bulk_str(&entry.client);
    for (field, number) in [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created_ms),
        ("timestamp-last-updated", entry.updated_ms),
    ] {
        reply.bulk_str(field);
        reply.integer(number as i64);
    }
}
