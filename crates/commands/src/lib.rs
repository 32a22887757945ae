//! Redis' data types: how they are laid out, what the commands do, and the table that describes them.
//!
//! A command is a [`Spec`] in its family's `COMMANDS` and a function that takes a [`Cx`] and the request. It reads
//! through the view, writes effects, and writes its reply; it knows of no connection, log or thread. Each family's module
//! opens with the layout of its elements.

pub mod args;
pub mod bitmap;
mod categories;
mod collection;
mod cx;
pub mod describe;
pub mod error;
mod events;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hll;
pub mod key;
mod key_access;
pub mod key_specs;
pub mod list;
mod named;
mod observe;
pub mod reference;
mod sample;
mod scan_options;
pub mod server;
pub mod set;
pub mod spec;
pub mod string;
pub mod syntax;
pub mod table;
#[cfg(test)]
mod testing;
pub mod tips;
pub mod zset;

pub use categories::Categories;
pub use collection::{Collection, LIST_MIDDLE, PackedLimits};
pub use cx::{Cx, Row};
pub use error::{Block, CommandError, OnTimeout, Outcome};
pub use events::KeyEvent;
pub use key_access::{Access, KeyAccess};
pub use named::{Named, fetch_elements_ahead};
pub use observe::{Class, Deaf, Observer};
pub use spec::{Channels, Flags, Group, Handler, Keys, SPEC, Spec};
