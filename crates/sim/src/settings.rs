//! The times of the machines, in a run over fake time.

use std::time::Duration;

use haypile_sync::copy::CopySettings;
use haypile_sync::source::{CheckpointSettings, PinSettings};
use haypile_sync::stream::StreamSettings;
use haypile_sync::{Retry, Settings};

/// Times of the machines: shorter than the real ones, so that much happens in little fake time.
#[derive(Clone, Debug)]
pub struct Times {
    /// Follower's machines.
    pub machines: Settings,
    /// Copies.
    pub copy: CopySettings,
    /// Streams.
    pub stream: StreamSettings,
    /// Checkpoints at the source.
    pub checkpoints: CheckpointSettings,
    /// Log retention at the source.
    pub pins: PinSettings,
    /// Sessions at the source.
    pub session_timeout: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Times {
            machines: Settings {
                connect_timeout: ms(500),
                request_timeout: ms(500),
                local_timeout: ms(2_000),
                silence_timeout: ms(2_000),
                heartbeat_interval: ms(500),
                copy_stall_timeout: ms(3_000),
                stable_after: ms(2_000),
                retry: Retry::from_millis(100, 1_000),
                retry_later: Retry::from_millis(500, 3_000),
                retry_fatal: Retry::from_millis(1_000, 5_000),
                poisoned_copy_interval: ms(5_000),
                attempts_max: None,
            },
            copy: CopySettings {
                workers: 4,
                bytes_per_second: None,
                attempts_max: 5,
                request_timeout: ms(500),
                busy_pause: ms(50),
                busy_timeout: ms(5_000),
                chunk_timeout: ms(500),
                renew_interval: ms(500),
                local_timeout: ms(2_000),
                retry: Retry::from_millis(50, 500),
                space_reserve_bytes: 0,
            },
            stream: StreamSettings {
                batch_delay: Duration::from_millis(1),
                window_bytes: 4_000,
                window_entries: 100,
                batch_bytes: 1_000,
                keepalive_interval: ms(500),
                silence_timeout: ms(2_000),
            },
            checkpoints: CheckpointSettings {
                share_for: ms(2_000),
                lease: ms(4_000),
                checkpoints_max: 2,
            },
            pins: PinSettings { keep_for: ms(8_000) },
            session_timeout: ms(2_000),
        }
    }
}
