//! Putting a copied checkpoint in place of the old data, so that a crash at any point leaves the one or the other.
//!
//! # The directory
//! ```text
//! partition/
//!   store/  oplog/  partition.toml     the partition: its data, its log, its ids and epoch history
//!   incoming/                          what is being copied, or is copied; stays when a copy breaks off
//!     store/  oplog/  partition.toml   the same three, as they are to be
//!   installing                         marker: `incoming/` is complete and durable, and is the partition from now on
//!   outgoing/                          the old ones, on their way out
//! ```
//! # The protocol
//! 1. Copy into `incoming/store`, check every chunk, make an empty log in `incoming/oplog` that begins after the
//!    checkpoint's position, write `incoming/partition.toml` with the source's history, sync all of it.
//! 2. Write the marker: to another name, sync, rename, sync the directory. **This is the one moment at which data, position
//!    and history change, together.**
//! 3. Move each of the three: the old one to `outgoing/`, the new one from `incoming/`. Remove the marker, `outgoing/`
//!    and `incoming/`.
//!
//! At each start, before a partition is opened, and to carry out an installation, the driver asks [`next_step`] until
//! there is none, looking at the directory anew each time. Every step is one rename, one removal or one new file, with
//! a sync of the directories it touches, so after a crash the same questions lead to the same end.

use std::collections::BTreeSet;

/// Name of the marker.
pub const MARKER: &str = "installing";
/// Directory of what is copied.
pub const INCOMING: &str = "incoming";
/// Directory of what is replaced.
pub const OUTGOING: &str = "outgoing";

/// What is in a partition's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Is the marker there?
    pub marker: bool,
    /// Names in the directory itself, apart from the three of this module.
    pub present: BTreeSet<String>,
    /// Names in `incoming/`; `None` if there is no such directory.
    pub incoming: Option<BTreeSet<String>>,
    /// Names in `outgoing/`; `None` if there is no such directory.
    pub outgoing: Option<BTreeSet<String>>,
}

/// One step, durable before the next is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallStep {
    /// Make `outgoing/`.
    MakeOutgoing,
    /// Write the marker.
    WriteMarker,
    /// Move this name from the directory to `outgoing/`.
    MoveOut(String),
    /// Move this name from `incoming/` to the directory.
    MoveIn(String),
    /// Remove the empty `incoming/`.
    RemoveIncoming,
    /// Remove the marker.
    RemoveMarker,
    /// Remove `outgoing/` and all in it.
    RemoveOutgoing,
}

/// What no run of this protocol leaves behind: somebody else changed the directory. Nothing is touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The same name in all three places.
    #[error("{0} is in the partition's directory, in incoming and in outgoing")]
    Thrice(String),
    /// An installation without anything to install.
    #[error("there is nothing to install in incoming")]
    Nothing,
}

/// The next step; `None` = the partition may be opened.
///
/// `commit` is true for an installation up to and with `WriteMarker`: the driver knows that what is in `incoming/` is
/// complete and durable. After that, and at a start, it is false: then only a marker says so.
pub fn next_step(found: &Found, commit: bool) -> Result<Option<InstallStep>, InstallError> {
    if found.marker {
        return forward(found).map(Some);
    }
    // Without a marker nothing in `outgoing/` belongs to anything. It must go before a marker is written.
    if !commit {
        return Ok(found.outgoing.as_ref().map(|_| InstallStep::RemoveOutgoing));
    }
    if found.incoming.as_ref().is_none_or(BTreeSet::is_empty) {
        return Err(InstallError::Nothing);
    }
    Ok(Some(match &found.outgoing {
        Some(names) if !names.is_empty() => InstallStep::RemoveOutgoing,
        Some(_) => InstallStep::WriteMarker,
        None => InstallStep::MakeOutgoing,
    }))
}

fn forward(found: &Found) -> Result<InstallStep, InstallError> {
    let Some(incoming) = &found.incoming else {
        return Ok(InstallStep::RemoveMarker);
    };
    let Some(name) = incoming.first().cloned() else {
        return Ok(InstallStep::RemoveIncoming);
    };
    if !found.present.contains(&name) {
        return Ok(InstallStep::MoveIn(name));
    }
    match &found.outgoing {
        Some(outgoing) if outgoing.contains(&name) => Err(InstallError::Thrice(name)),
        Some(_) => Ok(InstallStep::MoveOut(name)),
        None => Ok(InstallStep::MakeOutgoing),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A directory: what is in it, old or new.
    #[derive(Clone, Debug, Default)]
    struct Dir {
        marker: bool,
        committed: bool,
        present: BTreeMap<String, &'static str>,
        incoming: Option<BTreeMap<String, &'static str>>,
        outgoing: Option<BTreeMap<String, &'static str>>,
    }

    fn three(age: &'static str) -> BTreeMap<String, &'static str> {
        ["oplog", "partition.toml", "store"]
            .map(|name| (name.to_owned(), age))
            .into()
    }

    impl Dir {
        fn found(&self) -> Found {
            let names = |map: &BTreeMap<String, _>| map.keys().cloned().collect();
            Found {
                marker: self.marker,
                present: names(&self.present),
                incoming: self.incoming.as_ref().map(names),
                outgoing: self.outgoing.as_ref().map(names),
            }
        }

        fn apply(&mut self, step: InstallStep) {
            match step {
                InstallStep::MakeOutgoing => assert!(self.outgoing.replace(BTreeMap::new()).is_none()),
                InstallStep::WriteMarker => (self.marker, self.committed) = (true, true),
                InstallStep::MoveOut(name) => {
                    let age = self.present.remove(&name).unwrap();
                    assert_eq!(self.outgoing.as_mut().unwrap().insert(name, age), None);
                }
                InstallStep::MoveIn(name) => {
                    let age = self.incoming.as_mut().unwrap().remove(&name).unwrap();
                    assert_eq!(self.present.insert(name, age), None);
                }
                InstallStep::RemoveIncoming => assert!(self.incoming.take().unwrap().is_empty()),
                InstallStep::RemoveMarker => self.marker = false,
                InstallStep::RemoveOutgoing => assert!(self.outgoing.take().is_some()),
            }
        }

        /// Takes steps until there are none, or until `crash` have been taken.
        fn run(&mut self, mut commit: bool, crash: usize) -> usize {
            for taken in 0..crash {
                let Some(step) = next_step(&self.found(), commit).unwrap() else {
                    return taken;
                };
                // The marker takes over: from here on the directory says what to do.
                commit &= step != InstallStep::WriteMarker;
                self.apply(step);
            }
            crash
        }
    }

    #[test]
    fn a_crash_anywhere_leaves_the_old_or_the_new() {
        let leftovers = [None, Some(BTreeMap::new()), Some(three("older"))];
        let mut new_ones = 0;
        for outgoing in leftovers {
            for present in [three("old"), BTreeMap::new()] {
                let start = Dir {
                    marker: false,
                    committed: false,
                    present: present.clone(),
                    incoming: Some(three("new")),
                    outgoing: outgoing.clone(),
                };
                let steps = start.clone().run(true, usize::MAX);
                for first in 0..=steps {
                    for second in 0..=steps {
                        let mut dir = start.clone();
                        dir.run(true, first);
                        let expected = if dir.committed { three("new") } else { present.clone() };
                        new_ones += usize::from(expected == three("new"));
                        dir.run(false, second);
                        dir.run(false, usize::MAX);
                        assert_eq!(dir.present, expected);
                        assert!(!dir.marker && dir.outgoing.is_none());
                        let kept = (expected != three("new")).then(|| three("new"));
                        assert_eq!(dir.incoming, kept, "an unfinished copy stays");
                    }
                }
            }
        }
        assert!(new_ones > 100);
    }

    #[test]
    fn what_cannot_be_is_not_touched() {
        let dir = Dir {
            marker: true,
            committed: true,
            present: three("?"),
            incoming: Some(three("?")),
            outgoing: Some(three("?")),
        };
        assert_eq!(
            next_step(&dir.found(), false),
            Err(InstallError::Thrice("oplog".into()))
        );
        assert_eq!(next_step(&Found::default(), true), Err(InstallError::Nothing));
    }
}
