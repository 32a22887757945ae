//! A copied checkpoint takes the place of a partition's data: carries out the steps of [`haypile_sync::copy::install`].

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use haypile_oplog::Oplog;
use haypile_sync::EpochHistory;
use haypile_sync::copy::install::{Found, INCOMING, InstallStep, MARKER, OUTGOING, next_step};
use haypile_types::Position;

use crate::group::BallotFile;
use crate::open::{OPLOG_DIR, STORE_DIR};
use crate::{PartitionError, identity};

/// Where the files of a checkpoint are copied to, for a partition in `dir`.
pub fn incoming_store(dir: &Path) -> PathBuf {
    dir.join(INCOMING).join(STORE_DIR)
}

/// The checkpoint's files are in [`incoming_store`], checked and durable: puts them in place of the partition's data,
/// which nobody has open, with a log that begins after `position` and this history.
///
/// After a crash the next [`crate::Partition::open`] finds the old data or the new.
///
/// # Errors
/// A file or directory. The next start goes on with it, if it had got so far that it has to.
pub fn install(
    dir: &Path,
    position: Position,
    history: &EpochHistory,
    oplog: &haypile_oplog::Options,
) -> Result<(), PartitionError> {
    let incoming = dir.join(INCOMING);
    let log_dir = incoming.join(OPLOG_DIR);
    remove(&log_dir)?;
    let (mut log, _) = Oplog::open(&log_dir, oplog.clone())?;
    log.reset_after(position)?;
    log.close()?;
    // It is the same replica, with other data.
    let replica = identity::load(dir)?.and_then(|identity| identity.replica);
    identity::save(&incoming, replica, history)?;
    BallotFile::carry_over(dir, &incoming, position)?;
    sync(&incoming)?;
    run(dir, true)
}

/// Removes what is there of a copy that is not wanted any more. An installation that has begun is not touched.
///
/// # Errors
/// A file or directory.
pub fn discard_incoming(dir: &Path) -> Result<(), PartitionError> {
    let incoming = dir.join(INCOMING);
    if dir.join(MARKER).exists() || !incoming.exists() {
        return Ok(());
    }
    tracing::info!(dir = %incoming.display(), "what is left of a copy that is not wanted any more is removed");
    remove(&incoming)?;
    sync(dir)
}

/// Finishes an installation that a crash has interrupted.
pub(crate) fn recover(dir: &Path) -> Result<(), PartitionError> {
    run(dir, false)
}

fn run(dir: &Path, mut commit: bool) -> Result<(), PartitionError> {
    loop {
        let found = look(dir).map_err(io("look into", dir))?;
        let step = next_step(&found, commit).map_err(|error| PartitionError::Identity {
            path: dir.to_owned(),
            reason: error.to_string(),
        })?;
        let Some(step) = step else { return Ok(()) };
        commit &= step != InstallStep::WriteMarker;
        carry_out(dir, &step)?;
    }
}

fn names(dir: &Path) -> io::Result<Option<BTreeSet<String>>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map(Some)
}

fn look(dir: &Path) -> io::Result<Found> {
    let mut present = names(dir)?.unwrap_or_default();
    let marker = present.remove(MARKER);
    present.remove(INCOMING);
    present.remove(OUTGOING);
    Ok(Found {
        marker,
        present,
        incoming: names(&dir.join(INCOMING))?,
        outgoing: names(&dir.join(OUTGOING))?,
    })
}

fn carry_out(dir: &Path, step: &InstallStep) -> Result<(), PartitionError> {
    let (incoming, outgoing, marker) = (dir.join(INCOMING), dir.join(OUTGOING), dir.join(MARKER));
    match step {
        InstallStep::MakeOutgoing => fs::create_dir(&outgoing).map_err(io("create", &outgoing))?,
        InstallStep::WriteMarker => {
            let fresh = marker.with_extension("new");
            File::create(&fresh)
                .and_then(|file| file.sync_all())
                .map_err(io("create", &fresh))?;
            fs::rename(&fresh, &marker).map_err(io("name", &marker))?;
        }
        InstallStep::MoveOut(name) => {
            fs::rename(dir.join(name), outgoing.join(name)).map_err(io("move", &dir.join(name)))?;
            sync(&outgoing)?;
        }
        InstallStep::MoveIn(name) => {
            fs::rename(incoming.join(name), dir.join(name)).map_err(io("move", &incoming.join(name)))?;
            sync(&incoming)?;
        }
        InstallStep::RemoveIncoming => fs::remove_dir(&incoming).map_err(io("remove", &incoming))?,
        InstallStep::RemoveMarker => fs::remove_file(&marker).map_err(io("remove", &marker))?,
        InstallStep::RemoveOutgoing => remove(&outgoing)?,
    }
    sync(dir)
}

fn remove(dir: &Path) -> Result<(), PartitionError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io("remove", dir)(error)),
        _ => Ok(()),
    }
}

fn sync(dir: &Path) -> Result<(), PartitionError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))
}

fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PartitionError {
    let path = path.to_owned();
    move |source| PartitionError::Io { verb, path, source }
}
