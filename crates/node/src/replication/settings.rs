//! What the configuration says of replication, as the machines want to have it.

use std::time::Duration;

use haypile_config::Values;
use haypile_sync::copy::CopySettings;
use haypile_sync::stream::StreamSettings;
use haypile_sync::{Retry, Settings};

/// A replica that is silent for so long is gone.
pub(super) fn session_timeout(values: &Values) -> Duration {
    Duration::from_secs(u64::from(values.repl_timeout))
}

/// `theirs`: after how much silence the other side takes this one for dead. Each side sends often enough for both.
pub(super) fn stream_settings(values: &Values, theirs: Duration) -> StreamSettings {
    let silence = Duration::from_secs(u64::from(values.repl_timeout));
    let shorter = silence.min(theirs);
    StreamSettings {
        window_bytes: values.repl_window_bytes,
        batch_delay: Duration::from_micros(u64::from(values.repl_batch_delay_us)),
        keepalive_interval: Duration::from_secs(1).min(shorter / 4),
        silence_timeout: silence,
        ..StreamSettings::default()
    }
}

/// Of the machines that follow.
pub(super) fn follower_settings(values: &Values) -> Settings {
    let silence = Duration::from_secs(u64::from(values.repl_timeout));
    let (min, max) = (u64::from(values.repl_retry_min_ms), u64::from(values.repl_retry_max_ms));
    let max = max.max(min);
    Settings {
        connect_timeout: silence.min(Settings::default().connect_timeout),
        request_timeout: silence.min(Settings::default().request_timeout),
        silence_timeout: silence,
        heartbeat_interval: Duration::from_secs(1).min(silence / 4),
        retry: Retry::from_millis(min, max),
        retry_later: Retry::from_millis(min.saturating_mul(10).min(max * 30), max * 30),
        retry_fatal: Retry::from_millis((max * 5).min(60_000), max * 60),
        attempts_max: Some(values.repl_max_attempts).filter(|max| *max > 0),
        ..Settings::default()
    }
}

/// Of the copy of a checkpoint.
pub(super) fn copy_settings(values: &Values) -> CopySettings {
    CopySettings {
        workers: values.repl_copy_workers,
        bytes_per_second: Some(values.repl_copy_bytes_per_second).filter(|rate| *rate > 0),
        attempts_max: values.repl_copy_attempts,
        space_reserve_bytes: values.disk_free_min_bytes,
        // Well below the lease that the source gives, which is a multiple of its timeout.
        renew_interval: Duration::from_secs(u64::from(values.repl_timeout)),
        ..CopySettings::default()
    }
}
