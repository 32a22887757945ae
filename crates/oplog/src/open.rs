//! From a directory to a log: which files count, where the log ends, and whether that end can be trusted.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_types::Position;

use crate::cursor::{Cursor, Step};
use crate::disk::{Disk, random_u64};
use crate::error::OplogError;
use crate::format::{BadRecord, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RECORDS_START, SegmentHeader};
use crate::options::Options;
use crate::scan::{End, find_end, find_later_record, torn_bytes};
use crate::segment::{Segment, index_of_name, load, segment_path};
use crate::spares::{Spares, is_spare};
use crate::watermark::{Watermark, WatermarkFile, boot};

/// What was found in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Position of the first entry; of an empty log, the term of what precedes it and the index that the first
    /// entry will have.
    pub first: Position,
    /// Position of the last entry; of an empty log, what precedes it.
    pub last: Position,
    /// What was cut off at the end, if anything.
    pub torn_tail: Option<TornTail>,
}

/// A write that a crash interrupted, and that has been cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment file.
    pub segment: PathBuf,
    /// Where the log ends now, in bytes from the start of the segment.
    pub offset: u64,
    /// How many bytes were cut off: of a half-written record its length; where good records had to go with it
    /// (after a power failure), all bytes up to the end of the files.
    pub bytes_cut: u64,
    /// How many entries are missing that were known to be durable. Always 0 on a disk that keeps its promises;
    /// otherwise acknowledged writes are lost.
    pub synced_entries_lost: u64,
}

/// The parts of an opened log.
pub(crate) struct Parts {
    pub(crate) opened: Opened,
    pub(crate) segments: VecDeque<Arc<Segment>>,
    /// The last of them.
    pub(crate) active: Arc<Segment>,
    pub(crate) spares: Spares,
    pub(crate) watermark: WatermarkFile,
    pub(crate) mark: Watermark,
}

/// What may be assumed about the time since the log was last written.
struct Past {
    /// Known to have been durable up to here.
    durable: u64,
    /// The page cache may have been lost: the machine has been started since.
    power_lost: bool,
}

pub(crate) fn open(disk: &Arc<Disk>, options: &Options) -> Result<Parts, OplogError> {
    let (watermark, mark) = WatermarkFile::open(disk)?;
    let (named, mut spare_files) = list(disk.path())?;
    let mut loaded = Vec::new();
    for (index, path) in &named {
        loaded.push(load(disk, path, *index)?);
    }
    let generation = loaded.iter().map(|s| s.header.generation).max().unwrap_or(0);
    if let Some(mark) = mark.filter(|mark| loaded.is_empty() && mark.index > 0) {
        return Err(OplogError::Corrupt {
            segment: disk.path().to_path_buf(),
            offset: 0,
            index: mark.index,
            reason: format!("no segment file is there, but the log had entries up to {}", mark.index),
        });
    }
    let same_log = |mark: &Watermark| loaded.iter().all(|s| s.header.log_id == mark.log_id);
    let mark = mark.filter(|mark| mark.generation == generation && same_log(mark));
    let boot = boot();
    let past = Past {
        durable: mark.map_or(0, |mark| mark.index),
        power_lost: mark.is_some_and(|mark| mark.boot != boot && mark.boot != 0 && boot != 0),
    };

    let (mut segments, leftovers) = sort_out(loaded, &named, generation, &past)?;
    let log_id = match segments.front() {
        Some(front) => front.header.log_id,
        None => random_u64(disk.path())?,
    };
    if let Some(alien) = segments.iter().find(|segment| segment.header.log_id != log_id) {
        return Err(alien.corrupt(0, alien.first_index(), "the segment belongs to another log"));
    }
    for segment in leftovers {
        tracing::info!(segment = %segment.path.display(), "removing a log segment that is not part of the log");
        disk.remove(&segment.path)?;
    }

    let (active, last, torn_tail) = if segments.is_empty() {
        spare_files.drain(..).try_for_each(|path| disk.remove(&path))?;
        let first = Arc::new(create_first(disk, options, log_id)?);
        segments.push_back(first.clone());
        (first, Position::ZERO, None)
    } else {
        find_tail(disk, &mut segments, &past)?
    };
    // Before anything else is written: a damaged log stays as it is.
    let first = first_position(&segments, last)?;
    sync_unsynced(disk, &segments, &past)?;
    let known = mark;
    let mark = Watermark {
        log_id,
        generation: active.header.generation,
        boot,
        index: last.index,
    };
    match known {
        Some(known) if known.boot == boot && known.index <= last.index => watermark.write(&mark)?,
        // A new file, a new boot, or a promise that did not hold: this must not be forgotten.
        _ => watermark.write_durably(disk, &mark)?,
    }

    let spares = Spares::new(disk.clone(), log_id, options, spare_files)?;
    extend(disk, &active, &spares);
    Ok(Parts {
        opened: Opened { first, last, torn_tail },
        segments,
        active,
        spares,
        watermark,
        mark,
    })
}

/// Segment files in the order of their indexes, and spare files.
#[allow(clippy::type_complexity)] // two lists, named in the sentence above
fn list(dir: &Path) -> Result<(Vec<(u64, PathBuf)>, Vec<PathBuf>), OplogError> {
    let error = |e| OplogError::io("list", dir, e);
    let (mut segments, mut spares) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        match path.file_name().and_then(|name| name.to_str()).and_then(index_of_name) {
            Some(index) => segments.push((index, path)),
            None if is_spare(&path) => spares.push(path),
            None => {}
        }
    }
    segments.sort();
    Ok((segments, spares))
}

/// Separates the log's segments, oldest first, from files that are not part of it.
#[allow(clippy::type_complexity)] // two lists, named in the sentence above
fn sort_out(
    loaded: Vec<Segment>,
    named: &[(u64, PathBuf)],
    generation: u64,
    past: &Past,
) -> Result<(VecDeque<Arc<Segment>>, Vec<Segment>), OplogError> {
    let (mut segments, mut leftovers) = (VecDeque::new(), Vec::new());
    let newest = named.last().map(|(index, _)| *index);
    let mut ended = false;
    for (segment, (index, _)) in loaded.into_iter().zip(named) {
        let unborn = segment.header.first_index == 0;
        if ended || (!unborn && segment.header.generation < generation) || (unborn && segments.is_empty()) {
            // A reset leaves the segments of the generation before.
            leftovers.push(segment);
        } else if !unborn {
            segments.push_back(Arc::new(segment));
        } else if *index > past.durable && (past.power_lost || newest == Some(*index)) {
            // The name reached the disk before a power failure, the first index did not: nothing in this file
            // was ever durable, nor in later ones.
            ended = true;
            leftovers.push(segment);
        } else {
            return Err(segment.corrupt(0, *index, "the segment header has no first index"));
        }
    }
    Ok((segments, leftovers))
}

fn create_first(disk: &Arc<Disk>, options: &Options, log_id: u64) -> Result<Segment, OplogError> {
    let spare = Spares::new(disk.clone(), log_id, options, Vec::new())?.take()?;
    let header = SegmentHeader {
        first_index: 1,
        generation: 1,
        ..spare.header
    };
    disk.write_all_at(&spare.file, &spare.path, &header.encode(), 0)?;
    disk.sync_data(&spare.file, &spare.path)?;
    let path = segment_path(disk.path(), 1);
    disk.rename(&spare.path, &path)?;
    disk.sync_dir()?;
    Ok(Segment::new(path, spare.file, header, spare.capacity, RECORDS_START))
}

/// Finds the last entry. Full segments are taken as whole without being read, except after a power failure
/// those that were not known to be durable; their records are verified when they are read.
fn find_tail(
    disk: &Disk,
    segments: &mut VecDeque<Arc<Segment>>,
    past: &Past,
) -> Result<(Arc<Segment>, Position, Option<TornTail>), OplogError> {
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        segment.last_index.store(next.first_index() - 1, Ordering::Release);
    }
    let newest = segments.len() - 1;
    let from = match past.power_lost {
        true => segments
            .partition_point(|s| s.first_index() <= past.durable.saturating_add(1))
            .saturating_sub(1),
        false => newest,
    };
    // Before anything is cut: a damaged log stays as it is. Those that are looked at below are read from their beginning.
    if from > 0
        && let Some(front) = segments.front()
    {
        first_entry(front)?;
    }
    for at in from..segments.len() {
        let segment = segments[at].clone();
        let end = find_end(&segment, segment.last_index())?;
        if at < newest && end.last.index == segment.last_index() {
            continue;
        }
        let index = end.last.index + 1;
        let past_promises = past.power_lost && index > past.durable;
        if let BadRecord::Index { .. } | BadRecord::Term { .. } = end.bad {
            return Err(segment.corrupt(end.offset, index, end.bad));
        }
        if at < newest && !past_promises {
            return Err(segment.corrupt(end.offset, index, format!("{}, though later segments exist", end.bad)));
        }
        let later = find_later_record(&segment, end.offset + 1, index)?;
        if let Some(later) = later.filter(|_| !past_promises) {
            return Err(segment.corrupt(end.offset, index, format!("{}, and entry {later} follows it", end.bad)));
        }
        let torn = torn_bytes(&segment, &end)?;
        let disordered = later.is_some() || at < newest;
        let cut = match (disordered, torn) {
            (false, 0) if cut_short(&segment, &end) => cut_tail(disk, segments, at, &end).map(|_| 0)?,
            (false, 0) => 0,
            (false, torn) => cut_tail(disk, segments, at, &end).map(|_| torn)?,
            (true, _) => cut_tail(disk, segments, at, &end)?,
        };
        segment.end.store(end.offset, Ordering::Release);
        segment.last_index.store(u64::MAX, Ordering::Release);
        let synced_entries_lost = past.durable.saturating_sub(end.last.index);
        let torn_tail = (cut > 0 || synced_entries_lost > 0).then(|| TornTail {
            segment: segment.path.clone(),
            offset: end.offset,
            bytes_cut: cut,
            synced_entries_lost,
        });
        return Ok((segment, end.last, torn_tail));
    }
    // The loop ends at the newest segment, which is never passed over.
    unreachable!("the newest segment has an end")
}

/// No record, but the file ends within what could be one, and the zeros that lengthen it would make it whole.
fn cut_short(segment: &Segment, end: &End) -> bool {
    let room = segment.end().saturating_sub(end.offset);
    match end.bad {
        BadRecord::Length(length) => length <= RECORD_BYTES_MAX && u64::from(length) > room,
        _ => (1..RECORD_HEADER_BYTES as u64).contains(&room),
    }
}

/// Removes what follows `end` in the segment at `at`, and all later segments. Nothing of it may stay on the
/// disk: records written from now on could end exactly where an old one begins.
fn cut_tail(disk: &Disk, segments: &mut VecDeque<Arc<Segment>>, at: usize, end: &End) -> Result<u64, OplogError> {
    let mut cut = 0;
    while segments.len() > at + 1 {
        let Some(segment) = segments.pop_back() else { break };
        cut += segment.end() - RECORDS_START;
        disk.remove(&segment.path)?;
    }
    if cut > 0 {
        disk.sync_dir()?;
    }
    let segment = &segments[at];
    let length = segment.end();
    disk.truncate(&segment.file, &segment.path, end.offset)?;
    disk.sync_data(&segment.file, &segment.path)?;
    Ok(cut + (length - end.offset))
}

/// Makes what was found durable: entries that are replayed and shown must not vanish in a later power failure.
fn sync_unsynced(disk: &Disk, segments: &VecDeque<Arc<Segment>>, past: &Past) -> Result<(), OplogError> {
    for segment in segments.iter().rev() {
        disk.sync_data(&segment.file, &segment.path)?;
        if segment.first_index() <= past.durable {
            break;
        }
    }
    disk.sync_dir()
}

/// Preallocates the segment in use again if it has been cut. It works without, so a full disk is no error here.
fn extend(disk: &Disk, active: &Segment, spares: &Spares) {
    let wanted = match spares.allocation_bytes() {
        Ok(bytes) => bytes.max(active.end()),
        Err(_) => active.end(),
    };
    let length = active.file.metadata().map_or(0, |meta| meta.len());
    if length >= wanted {
        active.capacity.store(length, Ordering::Relaxed);
        return;
    }
    match disk.allocate(&active.file, &active.path, wanted) {
        Ok(()) => active.capacity.store(wanted, Ordering::Relaxed),
        Err(error) => {
            active.capacity.store(length, Ordering::Relaxed);
            tracing::warn!(%error, "the log segment in use could not be preallocated");
        }
    }
}

fn first_position(segments: &VecDeque<Arc<Segment>>, last: Position) -> Result<Position, OplogError> {
    let Some(front) = segments.front() else { return Ok(last) };
    if front.first_index() > last.index {
        return Ok(Position::new(last.term, last.index + 1));
    }
    first_entry(front)
}

/// The position of the first entry in a segment that has one.
fn first_entry(front: &Segment) -> Result<Position, OplogError> {
    let mut cursor = Cursor::at_start(front);
    match cursor
        .step(front, front.end())
        .map_err(|e| OplogError::io("read", &front.path, e))?
    {
        Step::Entry(header, _) => Ok(header.position),
        Step::Bad(bad) => Err(front.corrupt(cursor.offset, cursor.index, bad)),
    }
}
