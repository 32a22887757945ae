//! HSCAN: goes through a hash some fields at a time.
//!
//! Fields of a large hash stand in the order of their 16-bit hash. A call ends where that number changes, and the cursor is the
//! next number that there is, with a bit that is always set, so that it is never 0: that is the start and the end.
//!
//! ```text
//! cursor = 2^16 + spread
//! ```
//!
//! It is a place, so fields that are there all the time come exactly once, however the hash changes in between, after a restart
//! and from another replica as well. All fields of the same number come in one call: a hash of 10 million has about 150 of
//! each. A small hash comes all at once whatever COUNT says, as in Redis, unless its values are big.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::keys::spread;
use haypile_store::row::Kind;

use crate::scan_options::{ScanOptions, ScanReply, parse_cursor, reply_empty};
use crate::spec::READ;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const HSCAN: Spec = Spec {
    name: "hscan",
    summary: "Goes through the fields of a hash and their values, some at each call.",
    since: "2.8.0",
    group: Group::Hash,
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
    arity: -3,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    handler: Handler::Data(hscan),
    ..SPEC
};

/// Fields up to which a hash comes all at once; Redis' `hash-max-listpack-entries`.
const SMALL_MAX: u64 = if cfg!(test) { 4 } else { 512 };
/// Bytes after which it does not.
const SMALL_BYTES_MAX: usize = 256 << 10;

fn hscan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = parse_cursor(&request[2])?;
    let Some(hash) = cx.collection(&request[1], Kind::Hash)? else {
        reply_empty(cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(request, 3)?;
    let small = hash.size <= SMALL_MAX;
    // What is no cursor begins at a place too; that is no worse than any other.
    let place = (cursor as u16).to_be_bytes();
    let lower = if hash.is_packed() { &[][..] } else { &place };
    let mut reply = ScanReply::new(cx.reply);
    let mut scan = cx.scan(&hash, lower, None, Direction::Forward)?;
    let (mut looked_at, mut last, mut next_cursor) = (0, 0, 0);
    while let Some((field, value)) = scan.next()? {
        if !hash.is_packed() {
            let number = spread(field);
            if looked_at >= options.count && number != last && !(small && reply.bytes() < SMALL_BYTES_MAX) {
                next_cursor = 1 << 16 | u64::from(number);
                break;
            }
            last = number;
        }
        looked_at += 1;
        if options.admits(field) {
            reply.push(field);
            reply.push(value);
        }
    }
    drop(scan);
    reply.finish(cx.reply, next_cursor);
    Ok(())
}
