//! SLOWLOG.

use haypile_commands::{CommandError, Outcome};
use haypile_resp::{Request, parse_i64};

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] =
    &[("slowlog|get", get), ("slowlog|len", len), ("slowlog|reset", reset)];

/// Entries that SLOWLOG GET gives if it is not told.
const COUNT: usize = 10;

fn get(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if request.len() > 3 {
        return Err(CommandError::reply(
            "ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.",
        ));
    }
    let count = match request.get(2).map(parse_i64) {
        None => COUNT,
        Some(Some(-1)) => usize::MAX,
        Some(Some(count)) if count >= 0 => count as usize,
        Some(_) => {
            return Err(CommandError::reply("ERR count should be greater than or equal to -1"));
        }
    };
    let entries = cx.server.slowlog.newest(count);
    let reply = &mut *cx.reply;
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at as i64);
        reply.integer(entry.micros as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk_str(&entry.addr);
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn len(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.integer(cx.server.slowlog.len() as i64);
    Ok(())
}

fn reset(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.server.slowlog.reset();
    cx.reply.ok();
    Ok(())
}
