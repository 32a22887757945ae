//! How far a copy is, for those who look.

use std::time::Duration;

use crate::table::named;

named! {
    /// What a copy is doing.
    CopyStage {
        /// Writes that nobody else has are put into a file first.
        Keeping = "keeping",
        /// It asks for the manifest; the source may still be making the checkpoint.
        Asking = "asking",
        /// It looks at what is there from earlier copies, and at the room on the disk.
        Inspecting = "inspecting",
        /// It fetches chunks.
        Fetching = "fetching",
        /// All is there; it is being made durable.
        Syncing = "syncing",
        /// It replaces the old data.
        Installing = "installing",
        /// It is over.
        Ended = "ended",
    }
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyProgress {
    /// What it is doing.
    pub stage: CopyStage,
    /// Times that the source was asked for a manifest.
    pub asked: u32,
    /// Bytes that have been kept, or looked at, before anything is fetched.
    pub bytes_before: u64,
    /// Bytes that are here and checked.
    pub bytes_done: u64,
    /// Bytes in all; 0 until the manifest has come.
    pub bytes_total: u64,
    /// Files in all; 0 until the manifest has come.
    pub files_total: u64,
    /// Bytes fetched per second, since fetching began.
    pub bytes_per_second: u64,
    /// Fetches that failed and were, or will be, tried again.
    pub failures: u64,
}

impl Default for CopyProgress {
    fn default() -> Self {
        CopyProgress {
            stage: CopyStage::Asking,
            asked: 0,
            bytes_before: 0,
            bytes_done: 0,
            bytes_total: 0,
            files_total: 0,
            bytes_per_second: 0,
            failures: 0,
        }
    }
}

impl CopyProgress {
    /// How long fetching the rest will take at the present rate; `None` = cannot tell.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.bytes_total.saturating_sub(self.bytes_done);
        match (self.stage, left.checked_div(self.bytes_per_second)) {
            (CopyStage::Fetching, Some(seconds)) => Some(Duration::from_secs(seconds)),
            _ => None,
        }
    }
}
