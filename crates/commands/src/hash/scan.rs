//! HSCAN: goes through a hash a few fields at a time. How its cursor works is told in [`super::cursor`].
//!
//! Fields come in order. A small hash comes all at once whatever COUNT says, as in Redis, unless its values are big.
//! A pattern that begins with letters rather than with a star is looked for only where it can match.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::keys::prefix_end;
use haypile_store::row::Kind;

use super::cursor;
use crate::scan_options::{ScanOptions, ScanReply, parse_cursor, reply_empty};
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

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
/// Fields that a call looks at beyond COUNT, as many again but not more than this, to come to where a near cursor can go
/// on.
const BEYOND_MAX: u64 = if cfg!(test) { 2 } else { 100 };

fn hscan(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let cursor = parse_cursor(&request[2])?;
    let Some(hash) = cx.collection(&request[1], Kind::Hash)? else {
        reply_empty(cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(request, 3)?;
    let mut pass = Pass::new(cx, &hash, &options, cursor)?;
    let next_cursor = pass.run(cx)?;
    pass.reply.finish(cx.reply, next_cursor);
    Ok(())
}

/// One call's way through the fields.
struct Pass<'c> {
    hash: &'c Collection,
    options: &'c ScanOptions<'c>,
    /// Where to look.
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    reply: ScanReply,
    /// The last field that has been looked at.
    done: Vec<u8>,
    looked_at: u64,
}

impl<'c> Pass<'c> {
    fn new(
        cx: &mut Cx<'_>,
        hash: &'c Collection,
        options: &'c ScanOptions<'c>,
        cursor: u64,
    ) -> Result<Self, CommandError> {
        let place = cursor::resolve(cx, hash, cursor)?;
        let prefix = options.prefix();
        Ok(Pass {
            hash,
            options,
            lower: place.as_slice().max(prefix).to_vec(),
            upper: prefix_end(prefix),
            reply: ScanReply::new(cx.reply),
            done: Vec::new(),
            looked_at: 0,
        })
    }

    /// Gathers fields, and gives the cursor to go on with.
    fn run(&mut self, cx: &mut Cx<'_>) -> Result<u64, CommandError> {
        let small = self.hash.size <= SMALL_MAX || self.hash.is_packed();
        let Some(mut next) = self.advance(cx, |pass, _| {
            pass.looked_at >= pass.options.count && !(small && pass.reply.bytes() < SMALL_BYTES_MAX)
        })?
        else {
            return Ok(0);
        };
        let common = cursor::common_prefix(cx, self.hash)?;
        if let Some(cursor) = cursor::near(common, &self.done, &next) {
            return Ok(cursor);
        }
        // Few fields may share what a near cursor can tell: then those come too.
        let until = self.looked_at + self.options.count.min(BEYOND_MAX);
        self.lower = next.clone();
        let mut found = None;
        let stopped = self.advance(cx, |pass, next| {
            found = cursor::near(common, &pass.done, next);
            found.is_some() || pass.looked_at >= until
        })?;
        match (stopped, found) {
            (None, _) => return Ok(0),
            (Some(_), Some(cursor)) => return Ok(cursor),
            (Some(field), None) => next = field,
        }
        cursor::far_or_held(cx, self.hash, common, &self.done, &next)
    }

    /// Takes fields until `stop`, which is asked before each of them; gives the field at which it stopped.
    fn advance(
        &mut self,
        cx: &mut Cx<'_>,
        mut stop: impl FnMut(&Self, &[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let mut scan = cx.scan(self.hash, &self.lower, self.upper.as_deref(), Direction::Forward)?;
        while let Some((field, value)) = scan.next()? {
            if stop(self, field) {
                return Ok(Some(field.to_vec()));
            }
            self.done.clear();
            self.done.extend_from_slice(field);
            self.looked_at += 1;
            if self.options.admits(field) {
                self.reply.push(field);
                self.reply.push(value);
            }
        }
        Ok(None)
    }
}
