use haypile_store::{Item, Scan, StoreError};

use super::ordered::Ordered;
use super::packing::Rows;

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
