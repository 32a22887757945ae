//! Storing a whole sorted set as the result of a command.

use haypile_store::row::Kind;

use super::layout::{Scored, insert};
use crate::{CommandError, Cx, KeyEvent};

/// Puts these members, each of which occurs once, in place of whatever is under the key; no members remove it.
pub(crate) fn replace(cx: &mut Cx<'_>, key: &[u8], items: &[Scored], event: KeyEvent) -> Result<(), CommandError> {
    let old = cx.row(key)?.map(|row| row.header);
    if items.is_empty() {
        if let Some(old) = old {
            cx.delete(key, old)?;
            cx.modified(KeyEvent::Del, key);
        }
        return Ok(());
    }
    let mut zset = cx.new_collection(key, Kind::Zset, old);
    for (member, score) in items {
        insert(cx, &mut zset, member, *score)?;
    }
    cx.put_collection(key, &mut zset)?;
    cx.modified(event, key);
    Ok(())
}
