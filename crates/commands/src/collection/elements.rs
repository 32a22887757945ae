//! Iterators over the elements of a collection, packed or spread.

use haypile_store::{Item, Jumps, Scan, StoreError};

use super::ordered::Ordered;
use super::packing::Rows;
use super::{DataKey, OwnRows};

/// Elements of a collection in the order of their names.
pub struct Elements<'a>(Source<'a>);

#[allow(clippy::large_enum_variant)] // one at a time, on the stack
enum Source<'a> {
    Packed(Rows),
    Ordered(Ordered<'a>),
    /// With the length of what stands before an element in its data key.
    Spread(Scan<'a>, usize),
}

impl<'a> Elements<'a> {
    pub(crate) fn packed(rows: Rows) -> Self {
        Elements(Source::Packed(rows))
    }

    pub(crate) fn ordered(ordered: Ordered<'a>) -> Self {
        Elements(Source::Ordered(ordered))
    }

    pub(crate) fn spread(scan: Scan<'a>, prefix: usize) -> Self {
        Elements(Source::Spread(scan, prefix))
    }

    /// The next element's name and value; `None` at the end of the range.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        match &mut self.0 {
            Source::Packed(rows) => Ok(rows.next()),
            Source::Ordered(ordered) => ordered.next(),
            Source::Spread(scan, prefix) => {
                let next = scan.next()?;
                Ok(next.map(|(key, value)| (key.get(*prefix..).unwrap_or_default(), value)))
            }
        }
    }
}

/// Elements of a spread collection, part by part, in any order of the parts.
pub(crate) struct Jumping<'a>(Option<Parts<'a>>);

struct Parts<'a> {
    jumps: Jumps<'a>,
    rows: &'a OwnRows,
    /// Where all ends, as a data key.
    end: DataKey,
}

impl<'a> Jumping<'a> {
    pub(crate) fn nothing() -> Self {
        Jumping(None)
    }

    /// `jumps` are within a range that ends at `end`.
    pub(crate) fn new(jumps: Jumps<'a>, rows: &'a OwnRows, end: DataKey) -> Self {
        Jumping(Some(Parts { jumps, rows, end }))
    }

    /// Goes to the elements from `lower` up to but not including `upper` (`None`: to the end of all), bounds as
    /// [`Cx::scan`](crate::Cx::scan) has them.
    pub(crate) fn to(&mut self, lower: &[u8], upper: Option<&[u8]>) {
        let Some(parts) = &mut self.0 else { return };
        let until = upper.and_then(|upper| parts.rows.upper_bound(Some(upper)));
        let until = until.as_ref().unwrap_or(&parts.end);
        parts.jumps.to(&parts.rows.lower_bound(lower), until);
    }

    /// The next element's name and value; `None` at the end of the part.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        let Some(parts) = &mut self.0 else { return Ok(None) };
        let prefix = parts.rows.bytes_before_name();
        let next = parts.jumps.next()?;
        Ok(next.map(|(key, value)| (key.get(prefix..).unwrap_or_default(), value)))
    }
}
