//! What a partition keeps on disk: the only crate that names RocksDB.
//!
//! A [`Store`] is one RocksDB without a write-ahead log. The partition's oplog takes that part: everything that
//! reaches the store is an encoded list of [`effects`] that has been logged before, and each batch carries the log
//! position it brings the store to, so that after a crash the store says where replay has to start.
//!
//! Commands see a [`View`]: the store, and over it, while they write, an [`Overlay`] of what is logged or about to be
//! logged but not applied yet.
//!
//! # On disk
//!
//! | column family | key | value |
//! |---|---|---|
//! | `default` | `"state"` | [`state::StoreState`]: applied position, keyspaces |
//! | `default` | `"counts"`, keyspace (4), first slot (2) | how many keys some slots have, see `counts.rs` |
//! | `meta.N` | slot (2), hash (2), user key | [`row::Header`], then what the type needs, or all entries ([`packed`]) |
//! | `data.N` | slot (2), id (8), element | what the type needs; without an element the record of the id |
//! | `expiry.N` | expire-at in ms (8), then the `meta.N` key | empty |
//!
//! N is a keyspace id. The databases that clients select are names for keyspaces, so SWAPDB exchanges two names and
//! FLUSHDB gives a name to a new, empty keyspace; see [`state`].

mod base;
mod budget;
mod counts;
mod dirty;
pub mod effects;
mod error;
mod fetch;
mod filter;
pub mod keys;
mod known;
mod layers;
mod listener;
mod merge;
mod options;
mod order_view;
mod orders;
mod overlay;
pub mod packed;
mod publish;
mod reading;
mod replay;
pub mod row;
mod scan;
mod settle;
mod shared;
mod spaces;
pub mod state;
mod store;
mod telling;
mod value;
mod view;
mod visible;

pub use budget::Budget;
pub use counts::{Counted, Counts};
pub use error::{ErrorKind, StoreError};
pub use haypile_rows::FETCHED_AHEAD;
pub use known::{ALL_CANDIDATES_MAX, Pass};
pub use listener::Health;
pub use options::{Compression, StoreOptions};
pub use order_view::{Among, Near};
pub use overlay::{EntryRange, Overlay, Savepoint, WriterKnowledge};
pub use publish::Applied;
pub use reading::{Pinned, Reading};
pub use scan::{Direction, Item, Jumps, Scan};
pub use shared::{CacheLimits, SharedResources};
pub use spaces::{Cf, SpaceId};
pub use state::{Slots, StoreState};
pub use store::{Store, StoreStats};
pub use value::{RowValue, SharedValue, Value};
pub use view::{Tier, View};
