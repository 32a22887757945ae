//! Sorted sets.
//!
//! A sorted set's row is that of every collection; each member has two elements:
//!
//! ```text
//! member entry  0x00 | spread u16 BE | member    ->  score, 8 bytes
//! score index   0x01 | score, 8 bytes | member   ->  empty
//! ```
//!
//! A score is written so that bytes order as numbers do: the IEEE 754 bits, big-endian, with the sign bit flipped for
//! positive numbers and all bits flipped for negative ones. -0 is written as 0, and NaN does not occur.
//!
//! The member entry finds the score of a member, the index goes through members by score and then by their bytes. The
//! spread number ([`haypile_store::keys::spread`]) gives ZSCAN its cursor and ZRANDMEMBER places to jump to.
//!
//! Redis knows a member's index from counters in its skip list. Here it is counted, from the nearer end, so ZRANK and
//! ranges by index deep inside of a large set take time in proportion to the distance.

mod add;
mod algebra;
mod bounds;
mod combine;
mod count;
mod layout;
mod lookup;
#[cfg(test)]
mod model;
mod order;
mod pop;
mod random;
mod range;
mod remove;
mod scan;
mod source;
mod store;
mod walk;

pub(crate) use add::{AddOptions, add};
pub(crate) use bounds::{ScoreRange, Span};
pub(crate) use layout::{Entry, INDEX, MEMBER, entry_of, find, member_key, score_from, score_of};
pub(crate) use store::replace;
pub(crate) use walk::walk;

use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    add::ZADD,
    add::ZINCRBY,
    remove::ZREM,
    remove::ZREMRANGEBYRANK,
    remove::ZREMRANGEBYSCORE,
    remove::ZREMRANGEBYLEX,
    lookup::ZCARD,
    lookup::ZSCORE,
    lookup::ZMSCORE,
    count::ZRANK,
    count::ZREVRANK,
    count::ZCOUNT,
    count::ZLEXCOUNT,
    range::ZRANGE,
    range::ZREVRANGE,
    range::ZRANGEBYSCORE,
    range::ZREVRANGEBYSCORE,
    range::ZRANGEBYLEX,
    range::ZREVRANGEBYLEX,
    range::ZRANGESTORE,
    pop::ZPOPMIN,
    pop::ZPOPMAX,
    pop::ZMPOP,
    pop::BZPOPMIN,
    pop::BZPOPMAX,
    pop::BZMPOP,
    random::ZRANDMEMBER,
    scan::ZSCAN,
    algebra::ZUNION,
    algebra::ZINTER,
    algebra::ZDIFF,
    algebra::ZINTERCARD,
    algebra::ZUNIONSTORE,
    algebra::ZINTERSTORE,
    algebra::ZDIFFSTORE,
];
