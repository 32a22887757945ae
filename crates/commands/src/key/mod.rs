//! Keys, whatever their type: life and death, expiry, iteration, names, databases.
//!
//! Every user key is one row in the column family `meta`, and one more in `expiry` if it expires
//! (`haypile_store::keys` and `haypile_store::row` have the bytes):
//!
//! ```text
//! meta    slot (2) | hash (2) | user key                       ->  tag | [expire-at (8)] | body
//! expiry  expire-at (8) | slot (2) | hash (2) | user key       ->  nothing
//! ```
//!
//! What the commands here make of that:
//!
//! - A key is removed by removing its row, so DEL and expiry are O(1) for any type; elements without a row are collected
//!   by compaction.
//! - Elements carry the user key, so RENAME, MOVE and COPY of a collection write each element anew: O(n).
//! - SCAN's cursor is a place (slot, hash), see [`scan`].
//! - A key whose time is over is invisible. A command that writes removes it when it comes across it, and
//!   [`remove_due`] removes the others.

mod active_expire;
mod copy;
mod database;
mod delete;
pub mod digest;
mod encoding;
mod exists;
mod expire;
mod keys;
mod object;
mod pattern;
mod random;
mod rename;
mod scan;
mod serialized;
mod transfer;
mod ttl;

#[cfg(test)]
mod model;
#[cfg(test)]
mod records;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use active_expire::{Due, fetch_due, find_due, remove_due};
pub use object::encoding_of;
pub use serialized::serialized;

use haypile_store::StoreError;
use haypile_store::row::Header;

use crate::{CommandError, Cx, Spec};

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    delete::DEL,
    delete::UNLINK,
    exists::EXISTS,
    exists::TOUCH,
    exists::TYPE,
    expire::EXPIRE,
    expire::PEXPIRE,
    expire::EXPIREAT,
    expire::PEXPIREAT,
    expire::PERSIST,
    ttl::TTL,
    ttl::PTTL,
    ttl::EXPIRETIME,
    ttl::PEXPIRETIME,
    keys::KEYS,
    scan::SCAN,
    random::RANDOMKEY,
    rename::RENAME,
    rename::RENAMENX,
    copy::COPY,
    copy::MOVE,
    object::OBJECT,
    database::DBSIZE,
    database::FLUSHDB,
    database::FLUSHALL,
    database::SWAPDB,
];

/// The header of a row as a scan gives it.
fn header(row: &[u8]) -> Result<Header, StoreError> {
    Header::read(row)
        .map(|(header, _)| header)
        .ok_or_else(|| StoreError::Corrupt("a row in the column family meta cannot be read".into()))
}

/// True if a key with this row is there at `now`.
fn is_live(header: Header, now: u64) -> bool {
    header.expire_at.is_none_or(|at| at > now)
}

/// The database of this number; an error if there is none.
fn database(cx: &Cx<'_>, number: i32) -> Result<u16, CommandError> {
    u16::try_from(number)
        .ok()
        .filter(|&db| db < cx.view.databases())
        .ok_or_else(|| CommandError::reply("ERR DB index is out of range"))
}
