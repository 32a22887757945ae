//! What a server that stands alone says of cluster and modules.

use haypile_commands::args::is;
use haypile_commands::{CommandError, Outcome};
use haypile_resp::Request;

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("cluster|info", no_cluster),
    ("cluster|keyslot", no_cluster),
    ("cluster|myid", no_cluster),
    ("cluster|nodes", no_cluster),
    ("cluster|shards", no_cluster),
    ("cluster|slots", no_cluster),
    ("readonly", no_cluster),
    ("readwrite", no_cluster),
    ("asking", no_cluster),
    ("module|list", module_list),
    ("function|flush", function_flush),
    ("function|list", function_list),
];

fn no_cluster(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    Err(CommandError::reply("ERR This instance has cluster support disabled"))
}

/// There is nothing to delete: scripts and functions are for a later version.
fn function_flush(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match (request.get(2), request.len()) {
        (None, _) => {}
        (Some(mode), 3) if is(mode, "SYNC") || is(mode, "ASYNC") => {}
        (Some(_), 3) => {
            return Err(CommandError::reply(
                "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
            ));
        }
        _ => {
            return Err(CommandError::reply(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
                String::from_utf8_lossy(&request[1])
            )));
        }
    }
    cx.reply.ok();
    Ok(())
}

/// There is nothing to list.
fn function_list(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (mut with_code, mut pattern) = (false, None);
    let mut args = request.iter().skip(2);
    while let Some(arg) = args.next() {
        match arg {
            arg if !with_code && is(arg, "WITHCODE") => with_code = true,
            arg if pattern.is_none() && is(arg, "LIBRARYNAME") => {
                let given = args.next();
                pattern = Some(given.ok_or(CommandError::reply("ERR library name argument was not given"))?);
            }
            unknown => {
                let unknown = String::from_utf8_lossy(unknown);
                return Err(CommandError::reply(format!("ERR Unknown argument {unknown}")));
            }
        }
    }
    cx.reply.array(0);
    Ok(())
}

fn module_list(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.array(0);
    Ok(())
}
