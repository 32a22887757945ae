//! Who waits for something to happen to keys: clients of blocking commands, and transactions that watch.

mod blocked;
mod touched;
mod watch;

pub(crate) use blocked::BlockedTable;
pub(crate) use touched::touch;
pub use watch::WatchFlag;
pub(crate) use watch::WatchTable;
