//! DEBUG: for test suites and for those who look for errors. What would crash the server is not offered; a panic, which
//! does not crash it, is.

mod data;
mod panics;
mod protocol;

use std::ops::RangeInclusive;
use std::time::Duration;

use haypile_commands::args::integer;
use haypile_commands::{CommandError, Outcome, glob};
use haypile_resp::{Request, parse_f64};

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[("debug", debug)];

/// One subcommand.
struct Subcommand {
    name: &'static str,
    /// How many arguments it takes after its name.
    arguments: RangeInclusive<usize>,
    run: Execute,
    syntax: &'static str,
    summary: &'static str,
}

const MANY: usize = usize::MAX;

const fn subcommand(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    syntax: &'static str,
    summary: &'static str,
    run: Execute,
) -> Subcommand {
    Subcommand {
        name,
        arguments,
        run,
        syntax,
        summary,
    }
}

const SUBCOMMANDS: &[Subcommand] = &[
    subcommand(
        "CHANGE-REPL-ID",
        0..=0,
        "",
        "Change the replication id of the server.",
        change_repl_id,
    ),
    subcommand(
        "CONFIG-REWRITE-FORCE-ALL",
        0..=0,
        "",
        "As CONFIG REWRITE: keys at their default need no line.",
        config_rewrite,
    ),
    subcommand(
        "DIGEST",
        0..=0,
        "",
        "Output a hash of the content of all databases.",
        data::digest,
    ),
    subcommand(
        "DIGEST-DATABASES",
        0..=0,
        "",
        "Output positions, and a hash of the content of each database that has keys.",
        data::digest_databases,
    ),
    subcommand(
        "DIGEST-VALUE",
        0..=MANY,
        "<key> [<key> ...]",
        "Output a hash of each value.",
        data::digest_value,
    ),
    subcommand("ERROR", 1..=1, "<string>", "Return an error with this text.", error),
    subcommand(
        "HTSTATS",
        1..=2,
        "<dbid>",
        "Return the numbers of keys of a database.",
        data::htstats,
    ),
    subcommand(
        "HTSTATS-KEY",
        1..=2,
        "<key>",
        "Return the number of elements of a value.",
        data::htstats_key,
    ),
    subcommand("JMAP", 0..=0, "", "Accepted, without effect.", nothing),
    subcommand(
        "LISTPACK",
        1..=1,
        "<key>",
        "Succeeds if Redis would keep the value as a listpack.",
        data::listpack,
    ),
    subcommand(
        "LOADAOF",
        0..=0,
        "",
        "Write everything to disk. Nothing is loaded: data survive.",
        data::save,
    ),
    subcommand("LOG", 1..=1, "<message>", "Write a message to the server's log.", log),
    subcommand(
        "OBJECT",
        1..=2,
        "<key>",
        "Show low level info about a key and its value.",
        data::object,
    ),
    subcommand(
        "PANIC-IN-READ",
        0..=0,
        "",
        "Panic as a defect in a command that reads would. This connection is closed, no other.",
        panics::in_read,
    ),
    subcommand(
        "PANIC-IN-REPLAY",
        0..=0,
        "",
        "Of a replica: panic at the next entries from the source, as a defect would. It asks for a full sync then.",
        panics::in_replay,
    ),
    subcommand(
        "PANIC-IN-TURN",
        0..=1,
        "[<key>]",
        "Panic in the middle of a write to <key>, as a defect would. Writes are refused until a restart.",
        panics::in_turn,
    ),
    subcommand("PAUSE-CRON", 1..=1, "<0|1>", "Accepted, without effect.", nothing),
    subcommand(
        "POPULATE",
        1..=3,
        "<count> [<prefix>] [<size>]",
        "Create <count> strings named <prefix>:<number> where there is no such key.",
        data::populate,
    ),
    subcommand(
        "PROTOCOL",
        1..=1,
        "<type>",
        "Reply with a test value of the specified type.",
        protocol::protocol,
    ),
    subcommand(
        "QUICKLIST",
        1..=2,
        "<key> [<0|1>]",
        "As LISTPACK, for lists.",
        data::listpack,
    ),
    subcommand(
        "QUICKLIST-PACKED-THRESHOLD",
        1..=1,
        "<size>",
        "Accepted, without effect.",
        nothing,
    ),
    subcommand(
        "RELOAD",
        0..=3,
        "[option ...]",
        "Write everything to disk. Nothing is loaded again: data survive.",
        data::save,
    ),
    subcommand(
        "REPLYBUFFER",
        2..=2,
        "<what> <value>",
        "Accepted, without effect.",
        nothing,
    ),
    subcommand(
        "SDSLEN",
        1..=1,
        "<key>",
        "Show the lengths of a key and its value.",
        data::sdslen,
    ),
    subcommand(
        "SET-ACTIVE-EXPIRE",
        1..=1,
        "<0|1>",
        "Turn the removal of expired keys in the background off or on.",
        set_active_expire,
    ),
    subcommand(
        "SET-DISABLE-DENY-SCRIPTS",
        1..=1,
        "<0|1>",
        "Accepted, without effect.",
        nothing,
    ),
    subcommand(
        "SET-SKIP-CHECKSUM-VALIDATION",
        1..=1,
        "<0|1>",
        "Accepted, without effect.",
        nothing,
    ),
    subcommand(
        "SLEEP",
        1..=1,
        "<seconds>",
        "Stop writes for <seconds>. Decimals allowed.",
        sleep,
    ),
    subcommand(
        "STRINGMATCH-LEN",
        2..=2,
        "<length> <pattern>",
        "Match the pattern against a string of this many times 'a'.",
        stringmatch_len,
    ),
    subcommand(
        "STRUCTSIZE",
        0..=0,
        "",
        "Return the sizes of some structures.",
        structsize,
    ),
];

fn debug(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if !cx.node.config.load().enable_debug_command.allows(cx.client.is_local()) {
        return Err(CommandError::reply(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
             local connection, otherwise you need to set this option in the configuration file, and then restart the \
             server.",
        ));
    }
    let (name, given) = (&request[1], request.len() - 2);
    if name.eq_ignore_ascii_case(b"HELP") && given == 0 {
        return help(cx);
    }
    let found = SUBCOMMANDS
        .iter()
        .find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()));
    match found {
        Some(sub) if sub.arguments.contains(&given) => (sub.run)(cx, request),
        _ => Err(CommandError::reply(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
            String::from_utf8_lossy(&name[..name.len().min(128)])
        ))),
    }
}

fn help(cx: &mut ServerCx<'_, '_>) -> Outcome {
    cx.reply.array(SUBCOMMANDS.len() * 2 + 3);
    cx.reply
        .simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for sub in SUBCOMMANDS {
        cx.reply.simple(format!("{} {}", sub.name, sub.syntax).trim_end());
        cx.reply.simple(&format!("    {}", sub.summary));
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Print this help.");
    Ok(())
}

fn nothing(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.ok();
    Ok(())
}

fn change_repl_id(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    super::data_of(cx.node)?
        .begin_epoch()
        .map_err(|error| CommandError::reply(format!("ERR {error}")))?;
    cx.reply.ok();
    Ok(())
}

fn config_rewrite(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let rewritten = cx.node.config.rewrite(&*super::config_cmd::users_to_write(cx.server));
    rewritten.map_err(|error| CommandError::reply(error.to_string()))?;
    cx.reply.ok();
    Ok(())
}

fn error(_: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    Err(CommandError::reply(String::from_utf8_lossy(&request[2]).into_owned()))
}

fn log(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let message = String::from_utf8_lossy(&request[2]);
    tracing::warn!(client = %cx.client.addr, message = %message, "DEBUG LOG");
    cx.reply.ok();
    Ok(())
}

fn set_active_expire(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let on = integer(&request[2])? != 0;
    if let Some(data) = &*cx.node.partitions.the_one() {
        data.maintenance.set_active_expire(on);
    }
    cx.reply.ok();
    Ok(())
}

/// Longest sleep, seconds: one cannot be ended early.
const SLEEP_SECONDS_MAX: f64 = 600.0;

/// Holds the partition's writer, so that what writes waits as if the server stood still. Reads on other threads go on.
fn sleep(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let seconds = parse_f64(&request[2]).unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX);
    let sleep = || std::thread::sleep(Duration::from_secs_f64(seconds));
    match cx.turn {
        // It is held already.
        Some(_) => sleep(),
        None => super::data_of(cx.node)?
            .run_internal(|_| sleep())
            .map_err(|error| CommandError::reply(error.to_string()))?,
    }
    cx.reply.ok();
    Ok(())
}

/// Longest string that is matched, bytes.
const MATCH_BYTES_MAX: i64 = 1 << 20;

fn stringmatch_len(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let length = integer(&request[2])?.clamp(0, MATCH_BYTES_MAX);
    let text = vec![b'a'; length as usize];
    cx.reply.integer(i64::from(glob::matches(&request[3], &text)));
    Ok(())
}

fn structsize(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let text = format!(
        "bits:{} client:{} session:{} reply:{}",
        usize::BITS,
        size_of::<crate::client::Client>(),
        size_of::<crate::session::Session>(),
        size_of::<haypile_resp::Reply>()
    );
    cx.reply.bulk_str(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SUBCOMMANDS;

    #[test]
    fn subcommands_are_sorted_and_explained() {
        assert!(SUBCOMMANDS.is_sorted_by_key(|sub| sub.name));
        for sub in SUBCOMMANDS {
            assert!(sub.summary.ends_with('.'), "{}", sub.name);
            assert_eq!(*sub.arguments.end() == 0, sub.syntax.is_empty(), "{}", sub.name);
        }
    }
}
