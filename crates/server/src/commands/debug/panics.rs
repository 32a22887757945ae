//! Panics at will, to see that they do no more harm than they must.

use haypile_commands::{Cx, Outcome};
use haypile_partition::Turn;
use haypile_resp::Request;

use crate::commands::{ServerCx, data_of};

/// Outside of a turn, on the connection's thread.
pub(super) fn in_read(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    panic!("DEBUG PANIC-IN-READ")
}

/// When the next entries come from the source, on the thread that takes them.
pub(super) fn in_replay(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    data_of(cx.node)?.panic_in_replay();
    cx.reply.ok();
    Ok(())
}

/// When an entry is half written: within EXEC it is that of the transaction.
pub(super) fn in_turn(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (db, key) = (cx.session.db, request.get(2).unwrap_or(b"panic"));
    let fail = |turn: &mut Turn<'_>| turn.internal("debug", db, |cx| write_and_panic(cx, key));
    match cx.turn.as_deref_mut() {
        Some(turn) => fail(turn),
        None => data_of(cx.node)?
            .run_internal(fail)
            .map_err(|error| haypile_commands::CommandError::reply(error.to_string()))?,
    }
}

fn write_and_panic(cx: &mut Cx<'_>, key: &[u8]) -> Outcome {
    cx.put_string(key, None, b"half", None)?;
    panic!("DEBUG PANIC-IN-TURN")
}
