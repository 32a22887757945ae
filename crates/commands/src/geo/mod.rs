//! Geospatial indexes.
//!
//! An index is a sorted set (see [`crate::zset`]), and all commands of that family work on it. A member's score is the
//! hash of its position: 26 bits of longitude and 26 of latitude, interleaved, a whole number below 2^52:
//!
//! ```text
//! bit 51       50       49       48     ...  1        0
//!     lon 25   lat 25   lon 24   lat 24 ...  lon 0    lat 0
//! ```
//!
//! Positions near each other so mostly have scores near each other, and a search reads up to nine ranges of the score
//! index.

mod add;
mod args;
mod cell;
mod format;
mod lookup;
mod query;
mod search;
mod shape;

use crate::Spec;

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    add::GEOADD,
    lookup::GEOPOS,
    lookup::GEOHASH,
    lookup::GEODIST,
    search::GEOSEARCH,
    search::GEOSEARCHSTORE,
    search::GEORADIUS,
    search::GEORADIUS_RO,
    search::GEORADIUSBYMEMBER,
    search::GEORADIUSBYMEMBER_RO,
];
