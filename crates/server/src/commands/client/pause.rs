//! CLIENT PAUSE, UNPAUSE and UNBLOCK.

use haypile_commands::args::{integer, is};
use haypile_commands::{CommandError, Outcome};
use haypile_node::pause::PausePurpose;
use haypile_resp::Request;

use crate::commands::ServerCx;

pub(super) fn pause(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let writes_only = match request.get(3) {
        None => false,
        Some(mode) if is(mode, "ALL") => false,
        Some(mode) if is(mode, "WRITE") => true,
        Some(_) => return Err(CommandError::reply("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = haypile_resp::parse_i64(&request[2])
        .ok_or_else(|| CommandError::reply("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CommandError::reply("ERR timeout is negative"))?;
    if ms > 0 {
        let until_ms = cx.node.clock.now_ms().saturating_add(ms);
        cx.node.pausing.begin(PausePurpose::ByCommand, until_ms, writes_only);
    }
    cx.reply.ok();
    Ok(())
}

pub(super) fn unpause(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.node.pausing.end(PausePurpose::ByCommand);
    cx.reply.ok();
    Ok(())
}

pub(super) fn unblock(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let why = match request.get(3) {
        None => None,
        Some(reason) if is(reason, "TIMEOUT") => None,
        Some(reason) if is(reason, "ERROR") => {
            Some(CommandError::reply("UNBLOCKED client unblocked via CLIENT UNBLOCK"))
        }
        Some(_) => {
            return Err(CommandError::reply(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = integer(&request[2])?;
    // Who asks does not wait.
    let id = u64::try_from(id).ok().filter(|id| *id != cx.client.id);
    let unblocked = match (id, cx.turn.as_deref_mut()) {
        (None, _) => false,
        (Some(id), Some(turn)) => turn.hold().unblock(id, why),
        (Some(id), None) => cx.node.partitions.unblock(id, why),
    };
    cx.reply.integer(i64::from(unblocked));
    Ok(())
}
