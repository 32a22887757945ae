//! The copy of a checkpoint, follower's side: what to fetch when, what to check, how to install.
//!
//! The source describes its checkpoint in a [`Manifest`]: files, cut into chunks of one size, with a digest for each
//! chunk. The chunk is the unit of everything: several are fetched at once, each is checked before it counts, and one
//! that fails is fetched again. What was copied stays in the partition's `incoming/` when a copy breaks off, and the next
//! copy keeps every chunk there whose digest is right, **also if it is for another checkpoint**: RocksDB's files do not
//! change, so a new checkpoint shares most of its files with the one before. There is no list of what was done that
//! could be wrong.
//!
//! [`Copy`](struct@Copy) schedules; [`Throttle`] slows down; [`install`] puts the result in place of the old data.

mod digest;
mod fetching;
pub mod install;
mod manifest;
mod outcome;
mod progress;
mod schedule;
mod settings;
mod throttle;

pub use digest::{Digest, Digester};
pub use manifest::{
    CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, ChunkRef, FILES_MAX, FileEntry, Manifest, ManifestError,
    NAME_BYTES_MAX,
};
pub use outcome::CopyRefusal;
pub use progress::{CopyProgress, CopyStage};
pub use schedule::{Copy, CopyAction, CopyEvent};
pub use settings::CopySettings;
pub use throttle::Throttle;
