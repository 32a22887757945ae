//! What a server that stands alone says of cluster, modules and users.

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
    ("acl|whoami", whoami),
    ("function|flush", function_flush),
    ("function|list", module_list),
];

fn no_cluster(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    Err(CommandError::reply("ERR This instance has cluster support disabled"))
}

/// There is nothing to delete: scripts and functions are for a later version.
fn function_flush(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.ok();
    Ok(())
}

fn module_list(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.array(0);
    Ok(())
}

fn whoami(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.bulk_str("default");
    Ok(())
}
