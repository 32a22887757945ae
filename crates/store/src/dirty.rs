//! What is not in RocksDB of a range, in the order of its keys: the layers of what is visible, and over them what is
//! pending.

use std::ops::Range;
use std::sync::Arc;

use haypile_rows::{FETCHED_AHEAD, Row};

use crate::layers::Layer;
use crate::overlay::PendingRange;
use crate::{Direction, SpaceId};

/// See the module. Each key comes once, in its newest version that the reader sees.
pub(crate) struct DirtyRange<'a> {
    layers: Vec<Source>,
    /// Rows of no layer, in the order of their keys.
    loose: Option<(Vec<Row>, Range<usize>)>,
    pending: PendingRange<'a>,
    pending_head: Option<(&'a [u8], Option<&'a [u8]>)>,
    forward: bool,
    /// What the reader sees; newer versions are passed over.
    sees: Sees,
}

/// Which versions a reader sees.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sees {
    /// All that are there.
    All,
    /// Those up to a position. The reader has a guard from before it asked for the position.
    Until(u64),
}

struct Source {
    layer: Arc<Layer>,
    /// What it has of the range.
    all: Range<usize>,
    rest: Range<usize>,
}

/// A write: key, and value or `None` for a deletion.
pub(crate) enum DirtyItem<'a> {
    Pending(&'a [u8], Option<&'a [u8]>),
    Visible(Row),
}

impl DirtyItem<'_> {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            DirtyItem::Pending(key, _) => key,
            DirtyItem::Visible(row) => row.key(),
        }
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        match self {
            DirtyItem::Pending(_, value) => *value,
            DirtyItem::Visible(row) => row.value(),
        }
    }
}

impl<'a> DirtyRange<'a> {
    /// The range of `space` from `lower` up to but not including `upper` in these layers, the oldest first; these rows of the range,
    /// which are newer; and what is pending of it.
    pub(crate) fn new(
        (layers, mut loose): (&[Arc<Layer>], Vec<Row>),
        mut pending: PendingRange<'a>,
        space: SpaceId,
        (lower, upper): (&[u8], Option<&[u8]>),
        direction: Direction,
        sees: Sees,
    ) -> Self {
        let mut sources = Vec::new();
        for layer in layers {
            let rest = layer.range(space, lower, upper);
            if !rest.is_empty() {
                let layer = layer.clone();
                let all = rest.clone();
                sources.push(Source { layer, all, rest });
            }
        }
        loose.sort_by(|a, b| a.key().cmp(b.key()));
        let forward = direction == Direction::Forward;
        let all = 0..loose.len();
        DirtyRange {
            layers: sources,
            loose: (!loose.is_empty()).then_some((loose, all)),
            pending_head: pending.next(forward),
            pending,
            forward,
            sees,
        }
    }

    /// Goes on with the writes from `key` up to but not including `until`, which lie within the range, forward. The range is one of
    /// elements of one collection.
    pub(crate) fn seek(&mut self, key: &[u8], until: &[u8]) {
        for Source { layer, all, rest } in &mut self.layers {
            *rest = layer.elements_between(all, key, until);
            let rows = &layer.rows()[rest.clone()];
            rows.iter().take(FETCHED_AHEAD).for_each(Row::prefetch);
        }
        if let Some((rows, rest)) = &mut self.loose {
            let place = |key: &[u8]| rows.partition_point(|row| row.key() < key);
            *rest = place(key)..place(until);
        }
        self.pending.seek(key, until);
        self.pending_head = self.pending.next(self.forward);
    }

    /// The next write that the reader sees.
    pub(crate) fn next(&mut self) -> Option<DirtyItem<'a>> {
        loop {
            let item = self.next_newest()?;
            let DirtyItem::Visible(row) = item else {
                return Some(item);
            };
            match self.sees {
                Sees::All => return Some(DirtyItem::Visible(row)),
                Sees::Until(position) if row.position() <= position => return Some(DirtyItem::Visible(row)),
                Sees::Until(position) => {
                    // SAFETY: rows of layers were published, and the reader's guard is from before it asked for
                    // its position.
                    if let Some(seen) = unsafe { row.at(position) } {
                        return Some(DirtyItem::Visible(seen.clone()));
                    }
                }
            }
        }
    }

    /// The next write in its newest version.
    fn next_newest(&mut self) -> Option<DirtyItem<'a>> {
        let forward = self.forward;
        if self.layers.is_empty() && self.loose.is_none() {
            let (key, value) = self.pending_head.take()?;
            self.pending_head = self.pending.next(forward);
            return Some(DirtyItem::Pending(key, value));
        }
        // Later sources are newer.
        let comes_first = |a: &[u8], b: &[u8]| if forward { a <= b } else { a >= b };
        let mut first: Option<&Row> = None;
        for row in self.heads() {
            if first.is_none_or(|first| comes_first(row.key(), first.key())) {
                first = Some(row);
            }
        }
        let pending = self
            .pending_head
            .filter(|(key, _)| first.is_none_or(|first| comes_first(key, first.key())));
        let item = match (pending, first) {
            (Some((key, value)), _) => DirtyItem::Pending(key, value),
            (None, Some(row)) => DirtyItem::Visible(row.clone()),
            (None, None) => return None,
        };
        self.pass(item.key());
        Some(item)
    }

    fn heads(&self) -> impl Iterator<Item = &Row> {
        let forward = self.forward;
        let head = move |rows: &Range<usize>| if forward { rows.start } else { rows.end - 1 };
        let layers = self.layers.iter().filter(|source| !source.rest.is_empty());
        let layers = layers.map(move |source| &source.layer.rows()[head(&source.rest)]);
        let loose = self.loose.iter().filter(|(_, rest)| !rest.is_empty());
        layers.chain(loose.map(move |(rows, rest)| &rows[head(rest)]))
    }

    /// Goes on behind a key wherever it stands.
    fn pass(&mut self, key: &[u8]) {
        let forward = self.forward;
        let step = |rows: &[Row], rest: &mut Range<usize>| {
            if rest.start >= rest.end {
                return;
            }
            let at = if forward { rest.start } else { rest.end - 1 };
            if rows[at].key() == key {
                if forward {
                    rest.start += 1;
                } else {
                    rest.end -= 1;
                }
            }
        };
        for source in &mut self.layers {
            step(source.layer.rows(), &mut source.rest);
        }
        if let Some((rows, rest)) = &mut self.loose {
            step(rows, rest);
        }
        if self.pending_head.is_some_and(|(pending, _)| pending == key) {
            self.pending_head = self.pending.next(forward);
        }
    }
}
