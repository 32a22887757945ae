//! Ranges of keys as the writer and readers go through them.

use std::vec;

use smallvec::SmallVec;

use crate::keys::{DATA_PREFIX, collection_of};
use crate::known::{Element, Look, after};
use crate::merge::Merged;
use crate::overlay::PendingRange;
use crate::reading::{State, point_options};
use crate::{Cf, Overlay, SpaceId, StoreError, Tier};

/// Which way a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lower bound up.
    Forward,
    /// From the upper bound down.
    Reverse,
}

/// A key and its value.
pub type Item<'s> = (&'s [u8], &'s [u8]);

/// Dead entries that getting to the first item must have cost for that to be remembered.
const WORTH_LEARNING: u64 = 8;
/// Bytes of an element that is read along where a collection is scanned again and again, at most, about: fewer are read where they
/// are longer.
const AHEAD_BYTES: usize = 256;

/// What is read along where that is only to have it in the cache, bytes.
const FETCHED_BYTES: usize = 64 << 10;

/// The live keys and values of a range in order: the store's, with pending writes over them.
pub struct Scan<'a>(Source<'a>);

#[allow(clippy::large_enum_variant)] // one at a time, on the stack
enum Source<'a> {
    Nothing,
    Merged(Merged<'a>),
    Known(Box<KnownScan<'a>>),
}

impl<'a> Scan<'a> {
    pub(crate) fn nothing() -> Self {
        Scan(Source::Nothing)
    }

    /// A scan of what RocksDB and the overlay have.
    pub(crate) fn open(ground: &Ground<'a>, bounds: Bounds<'_>) -> Result<Self, StoreError> {
        let mut merged = ground.open(bounds, false)?;
        merged.begin();
        Ok(Scan(Source::Merged(merged)))
    }

    /// The writer's scan of a part of a collection, which starts in what it knows.
    pub(crate) fn of_known(ground: Ground<'a>, overlay: &'a Overlay, bounds: Bounds<'_>) -> Result<Self, StoreError> {
        let prefix = collection_of(bounds.lower).and_then(|prefix| prefix.try_into().ok());
        let (Some(prefix), Some(upper)) = (prefix, bounds.upper) else {
            return Self::open(&ground, bounds);
        };
        Ok(Scan(Source::Known(Box::new(KnownScan {
            ground,
            overlay,
            prefix,
            direction: bounds.direction,
            lower: bounds.lower.into(),
            upper: upper.into(),
            ahead: Vec::new().into_iter(),
            learned: None,
            behind: Behind::NotOpen,
            item: Lent::default(),
        }))))
    }

    /// The next key and value; `None` at the end of the range.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        match &mut self.0 {
            Source::Nothing => Ok(None),
            Source::Merged(merged) => merged.next(),
            Source::Known(scan) => scan.next(),
        }
    }
}

/// The live keys and values of a range for who goes to many places of it, in any order: one iterator serves for all of them, and
/// making one costs more than a jump.
pub struct Jumps<'a>(Option<Parts<'a>>);

struct Parts<'a> {
    merged: Merged<'a>,
    /// Where the part ends that is read.
    until: Vec<u8>,
}

impl<'a> Jumps<'a> {
    pub(crate) fn nothing() -> Self {
        Jumps(None)
    }

    /// Those of what RocksDB and the overlay have.
    pub(crate) fn open(ground: &Ground<'a>, bounds: Bounds<'_>) -> Result<Self, StoreError> {
        let merged = ground.open(bounds, false)?;
        let until = Vec::new();
        Ok(Jumps(Some(Parts { merged, until })))
    }

    /// Goes to the keys from `key` up to but not including `until`, which lie within the range.
    pub fn to(&mut self, key: &[u8], until: &[u8]) {
        if let Some(parts) = &mut self.0 {
            parts.merged.seek(key, until);
            until.clone_into(&mut parts.until);
        }
    }

    /// The next key and value; `None` where that ends, and before it was said where to go.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        let Some(Parts { merged, until }) = &mut self.0 else {
            return Ok(None);
        };
        Ok(merged.next()?.filter(|(key, _)| *key < &until[..]))
    }
}

/// What is to be scanned: from `lower` up to but not including `upper`, or the other way.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'b> {
    pub(crate) lower: &'b [u8],
    pub(crate) upper: Option<&'b [u8]>,
    pub(crate) direction: Direction,
}

/// Where it is scanned: a range of a keyspace's column family, in the state that a view has, with what is pending over it.
pub(crate) struct Ground<'a> {
    pub(crate) state: &'a State<'a>,
    pub(crate) space: SpaceId,
    pub(crate) cf: Cf,
    pub(crate) tier: Tier,
    pub(crate) overlay: Option<&'a Overlay>,
}

impl<'a> Ground<'a> {
    /// The dead entries that are crossed are counted if somebody `asks`.
    fn open(&self, bounds: Bounds<'_>, asks: bool) -> Result<Merged<'a>, StoreError> {
        let Bounds {
            lower,
            upper,
            direction,
        } = bounds;
        let pending = self.overlay.map_or(PendingRange::none(), |overlay| {
            overlay.pending_range(self.space, self.cf, lower, upper)
        });
        let dirty = self
            .state
            .dirty(self.space, self.cf, (lower, upper), direction, pending);
        let base = self.state.base();
        let family = base.spaces.get(&self.space).and_then(|open| open.cf(self.cf));
        let rocks = family.map(|family| {
            let mut options = point_options(self.tier);
            options.set_iterate_lower_bound(lower);
            if let Some(upper) = upper {
                options.set_iterate_upper_bound(upper);
            }
            base.use_snapshot(&mut options);
            base.db().raw_iterator_cf_opt(family, options)
        });
        Ok(Merged::new(rocks, dirty, direction, asks))
    }
}

/// The writer's scan: what it knows first (see [`crate::known`]), and the store from where that ends.
struct KnownScan<'a> {
    ground: Ground<'a>,
    overlay: &'a Overlay,
    prefix: [u8; DATA_PREFIX],
    direction: Direction,
    /// What is still to come.
    lower: Bytes,
    upper: Bytes,
    /// Read already, if that was not learned.
    ahead: vec::IntoIter<Element>,
    /// Where what was read and learned ends: it is taken from what is known.
    learned: Option<Bytes>,
    behind: Behind<'a>,
    item: Lent,
}

/// A key or a value. Usual ones take no memory of their own: who pops makes a scan for each element.
type Bytes = SmallVec<[u8; 64]>;

/// What was lent: a key and its value.
#[derive(Default)]
struct Lent {
    key: Bytes,
    value: Bytes,
}

impl Lent {
    fn set(&mut self, key: &[u8], value: &[u8]) {
        set(&mut self.key, key);
        set(&mut self.value, value);
    }
}

fn set(bytes: &mut Bytes, to: &[u8]) {
    bytes.clear();
    bytes.extend_from_slice(to);
}

/// What comes when nothing more is known.
enum Behind<'a> {
    NotOpen,
    Open(Box<Merged<'a>>),
    Failed(Option<StoreError>),
}

impl KnownScan<'_> {
    fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        while self.is_in_known() {
            if self.lower >= self.upper {
                return Ok(None);
            }
            match self.look() {
                Some(true) => return Ok(Some((&self.item.key, &self.item.value))),
                Some(false) => {}
                None => self.open()?,
            }
        }
        if let Some((key, value)) = self.ahead.next() {
            self.item.key = Bytes::from_vec(key);
            self.item.value = Bytes::from_vec(value);
            return Ok(Some((&self.item.key, &self.item.value)));
        }
        match &mut self.behind {
            Behind::NotOpen => Ok(None),
            Behind::Open(merged) => merged.next(),
            Behind::Failed(error) => error.take().map_or(Ok(None), Err),
        }
    }

    /// True if the next element comes from what is known, or it is known where to look for it.
    fn is_in_known(&self) -> bool {
        match (&self.learned, &self.behind) {
            (Some(end), _) => match self.direction {
                Direction::Forward => self.lower < *end,
                Direction::Reverse => self.upper > *end,
            },
            (None, Behind::NotOpen) => self.ahead.len() == 0,
            (None, _) => false,
        }
    }

    /// Looks into what is known: true if an element was found, false if it is known that there is none for a while,
    /// `None` if nothing is known.
    fn look(&mut self) -> Option<bool> {
        let known = self.overlay.known().lock();
        let forward = self.direction == Direction::Forward;
        let look = match forward {
            true => known.look_up(self.ground.space, &self.prefix, &self.lower),
            false => known.look_down(self.ground.space, &self.prefix, &self.upper),
        };
        match look {
            Look::Unknown => None,
            Look::NoneBefore(key) => {
                set(if forward { &mut self.lower } else { &mut self.upper }, key);
                Some(false)
            }
            Look::Element(key, _) if key < &self.lower[..] || key >= &self.upper[..] => {
                set(&mut self.lower, &self.upper);
                Some(false)
            }
            Look::Element(key, _) if self.learned.as_ref().is_some_and(|end| forward == (*key >= end[..])) => {
                // What comes there, `behind` has.
                self.learned = None;
                Some(false)
            }
            Look::Element(key, value) => {
                self.item.set(key, value);
                match forward {
                    true => {
                        set(&mut self.lower, key);
                        self.lower.push(0);
                    }
                    false => set(&mut self.upper, key),
                }
                Some(true)
            }
        }
    }

    /// Turns to the store for the rest, or a part of it, and learns from it.
    fn open(&mut self) -> Result<(), StoreError> {
        self.learned = None;
        let (space, learns) = (self.ground.space, self.overlay.learns());
        let (again, ahead, ahead_bytes) = match learns {
            true => {
                let mut known = self.overlay.known().lock();
                let ahead = known.ahead(space, &self.prefix);
                let again = known.is_scanned_again(space, &self.prefix);
                (again, ahead, ahead * AHEAD_BYTES)
            }
            false => (true, usize::MAX, FETCHED_BYTES),
        };
        let (mut lower, mut upper) = (self.lower.to_vec(), self.upper.to_vec());
        let bounds = Bounds {
            lower: &lower,
            upper: Some(&upper),
            direction: self.direction,
        };
        let mut merged = self.ground.open(bounds, learns && !again)?;
        merged.begin();
        let (mut read, mut bytes, mut failed) = (Vec::new(), 0, None);
        let ended = loop {
            match merged.next() {
                Ok(Some((key, value))) => {
                    bytes += key.len() + value.len();
                    read.push((key.to_vec(), value.to_vec()));
                }
                Ok(None) => break true,
                Err(error) if read.is_empty() => return Err(error),
                Err(error) => {
                    failed = Some(error);
                    break false;
                }
            }
            if !again || read.len() >= ahead || bytes >= ahead_bytes {
                break false;
            }
        };
        // What was read: up to the bound, or to the last element.
        if let Some((last, _)) = read.last().filter(|_| !ended) {
            match self.direction {
                Direction::Forward => upper = after(last),
                Direction::Reverse => lower.clone_from(last),
            }
        }
        let is_learned = learns && (again || merged.crossed() >= WORTH_LEARNING);
        self.behind = match failed {
            None => Behind::Open(Box::new(merged)),
            Some(error) => Behind::Failed(Some(error)),
        };
        if is_learned {
            let mut known = self.overlay.known().lock();
            known.learn(space, &self.prefix, (&lower, &upper), read);
            self.learned = Some(match self.direction {
                Direction::Forward => upper.into(),
                Direction::Reverse => lower.into(),
            });
            return Ok(());
        }
        match self.direction {
            Direction::Forward => self.lower = upper.into(),
            Direction::Reverse => self.upper = lower.into(),
        }
        self.ahead = read.into_iter();
        Ok(())
    }
}
