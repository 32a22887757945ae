//! Rows in memory, in versions: a writer publishes new ones at one instant, and readers read without a lock, each in the
//! state of its own position.
//!
//! - [`RowTable`] finds the newest [`Row`] of a key. A row knows the one that it has superseded, so that a reader walks back
//!   to the version of its position.
//! - [`Guard`]s say which readers there are and since when: [`Eras`] keeps what has been taken out of the table until nobody
//!   who may still look at it is left. Reading writes no memory that other threads write.
//! - [`Shared`] is one value that is replaced as a whole and read under a guard.
//!
//! What a position is, and when it becomes visible, is the business of the store that uses this. The rules for both sides
//! stand with [`RowTable`].

mod buckets;
mod eras;
mod row;
mod shared;
mod sync;
mod table;

pub use eras::{Eras, Guard};
pub use row::{Draft, Filler, Key, Row, RowRef, hash_of};
pub use shared::Shared;
pub use table::{At, FETCHED_AHEAD, Limbo, Published, RowTable, Ticket};
