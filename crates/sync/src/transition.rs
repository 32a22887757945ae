//! A change of a machine's state, as it is logged and counted.

use crate::{SyncError, Time};

/// One change of state: to be logged and counted, all at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition<S> {
    /// The state that was left.
    pub from: S,
    /// The state that was entered.
    pub to: S,
    /// The input that did it, by the name it has in the table.
    pub reason: &'static str,
    /// The error, if the state entered is the error state.
    pub error: Option<SyncError>,
    /// When.
    pub at: Time,
}
