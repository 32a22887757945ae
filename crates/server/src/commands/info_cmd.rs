//! INFO.

use haypile_commands::Outcome;
use haypile_resp::Request;

use super::{Execute, ServerCx};
use crate::info::{self, Facts};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[("info", info)];

fn info(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let names: Vec<String> = request
        .iter()
        .skip(1)
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let partition = cx.node.partitions.stats();
    let facts = Facts {
        server: cx.server,
        role: cx.node.replication.roles.load().clone(),
        values: cx.node.config.get(),
        partition,
        store: cx.node.partitions.store_stats(),
    };
    let text = info::text(&facts, &names);
    cx.reply.verbatim("txt", &text);
    Ok(())
}
