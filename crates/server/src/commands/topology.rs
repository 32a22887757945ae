//! What a server that stands alone says of replication, cluster, modules and users.

use haypile_commands::args::is;
use haypile_commands::{CommandError, Outcome};
use haypile_resp::Request;

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("role", role),
    ("replicaof", replicaof),
    ("slaveof", replicaof),
    ("failover", failover),
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

fn role(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let offset = cx.partition_stats().position.index;
    cx.reply.array(3);
    cx.reply.bulk_str("master");
    cx.reply.integer(offset as i64);
    cx.reply.array(0);
    Ok(())
}

fn replicaof(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if is(&request[1], "NO") && is(&request[2], "ONE") {
        cx.reply.ok();
        return Ok(());
    }
    Err(CommandError::reply(
        "ERR this version has no replication: the only possible form is REPLICAOF NO ONE",
    ))
}

fn failover(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    Err(CommandError::reply("ERR FAILOVER requires connected replicas."))
}

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
