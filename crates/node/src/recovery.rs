//! What the log says about the data that were found at the start.

use haypile_partition::Recovery;

/// Logs what opening the data had to do, loudly where something is lost.
pub fn report(recovery: &Recovery) {
    if let Some(torn) = &recovery.torn_tail {
        let segment = torn.segment.display();
        // What the store has is not lost.
        let lost = torn.synced_entries_lost.saturating_sub(recovery.log_behind_by);
        if lost > 0 {
            tracing::error!(
                %segment,
                offset = torn.offset,
                bytes = torn.bytes_cut,
                entries_lost = lost,
                "the log ends before entries that the disk had confirmed: acknowledged writes are lost. Check the disk \
                 and its file system; restore from a replica or a backup if the writes before this start matter"
            );
        } else if torn.bytes_cut > 0 {
            tracing::warn!(
                %segment,
                offset = torn.offset,
                bytes = torn.bytes_cut,
                "the log ended in a half-written entry, which has been cut off; no write that was safe is lost"
            );
        }
    }
    match recovery.log_behind_by {
        0 => {}
        entries if entries == recovery.position.index => {
            tracing::warn!(
                position = %recovery.position,
                "there is no log beside the saved data, as after restoring a checkpoint: a new log goes on behind it"
            );
        }
        entries => {
            tracing::warn!(
                entries,
                "the log had lost its end, which the store has saved: nothing is lost, and the log goes on behind it"
            );
        }
    }
    if let Some(cause) = &recovery.unreplayable {
        tracing::error!(
            cause,
            position = %recovery.position,
            "the end of the log cannot be applied: this replica shows what comes before it, and asks its source for a full sync"
        );
    }
    tracing::info!(replayed = recovery.replayed, position = %recovery.position, "the data is open");
}
