//! How a log behaves: when it is synced, how large its files are, what is kept of it.

use std::fmt;
use std::str::FromStr;

/// When written entries are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before they are acknowledged: whoever acknowledges calls [`crate::Syncer::sync_to`] first.
    Always,
    /// Within about a second of being written, by the log's own helper thread.
    #[default]
    EverySec,
    /// When the operating system likes, and when a segment is full.
    Os,
}

impl FromStr for SyncPolicy {
    type Err = String;

    /// Accepts `always`, `everysec`, `os` and Redis' name for the last, `no`; letter case does not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "always" => Ok(SyncPolicy::Always),
            "everysec" => Ok(SyncPolicy::EverySec),
            "os" | "no" => Ok(SyncPolicy::Os),
            _ => Err(format!(
                "unknown sync policy '{text}': it is one of always, everysec, os"
            )),
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncPolicy::Always => "always",
            SyncPolicy::EverySec => "everysec",
            SyncPolicy::Os => "os",
        })
    }
}

/// How a log behaves. All fields have working defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size to which segment files are preallocated, in bytes; default 64 MiB, at least 4 KiB. On a nearly full
    /// file system smaller ones are made, down to 1 MiB. A batch is never split over two segments, so a segment
    /// may grow past this by up to one batch.
    pub segment_bytes: u64,
    /// When entries become durable; default `everysec`.
    pub sync: SyncPolicy,
    /// Bytes of removable segments to keep for consumers that come back; default 1 GiB.
    pub retention_bytes_max: u64,
    /// Age in milliseconds past which removable segments go; default 24 hours.
    pub retention_ms_max: u64,
    /// Bytes of removable segments to keep for consumers that are known to need them, beyond what retention keeps;
    /// default 64 GiB.
    pub pinned_bytes_max: u64,
    /// How many collected segment files to keep for reuse; default 2.
    pub recycle_segments_max: usize,
    /// No new segment is allocated that would leave the file system with less than this free, in bytes, and
    /// below it removable segments are not retained; default 16 MiB.
    pub free_bytes_min: u64,
}

/// How much of a log is kept that could go; see the fields of [`Options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bytes for whoever comes back.
    pub bytes_max: u64,
    /// Milliseconds for whoever comes back.
    pub ms_max: u64,
    /// Bytes for those who are known to need them.
    pub pinned_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 64 << 20,
            sync: SyncPolicy::default(),
            retention_bytes_max: 1 << 30,
            retention_ms_max: 24 * 60 * 60 * 1000,
            pinned_bytes_max: 64 << 30,
            recycle_segments_max: 2,
            free_bytes_min: 16 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_parsed_and_shown() {
        for (text, policy) in [
            ("always", SyncPolicy::Always),
            ("EverySec", SyncPolicy::EverySec),
            ("no", SyncPolicy::Os),
        ] {
            assert_eq!(text.parse(), Ok(policy));
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("sometimes".parse::<SyncPolicy>().unwrap_err().contains("sometimes"));
    }
}
