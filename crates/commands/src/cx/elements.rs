//! Elements of collections: read, changed and stored, whether they stand in the row or have rows of their own.

use std::ops::Range;

use haypile_resp::Reply;
use haypile_store::keys::Home;
use haypile_store::row::{HEADER_BYTES_MAX, Header};
use haypile_store::{Among, Cf, Direction, Pass, StoreError, Value, packed};

use super::Cx;
use crate::collection::{ElementName, Elements, Form, Jumping, OwnRows};
use crate::sample::missing;
use crate::{Collection, CommandError};

/// Changes of one command that a packed collection takes before it is found to be none.
const CHANGES_MAX: usize = 2048;

impl<'a> Cx<'a> {
    /// Stores a collection with what has changed, or removes the key if the collection is empty now. Where nothing has
    /// changed it does nothing.
    pub fn put_collection(&mut self, key: &[u8], collection: &mut Collection) -> Result<(), CommandError> {
        if collection.size == 0 {
            if let Some(old) = collection.old.take() {
                self.delete(key, old)?;
            }
            *collection = Collection::new(key, collection.kind, None);
            return Ok(());
        }
        if collection.is_packed() && !self.put_packed(key, collection)? {
            self.spread(collection)?;
        }
        if !collection.is_packed() && !collection.is_as_stored() {
            let header = collection.header();
            self.put_row(key, collection.old, header, &collection.body())?;
            self.has_been_stored(key, collection, header);
        }
        Ok(())
    }

    /// Stores a packed collection, if it may stay so; false if it may not.
    fn put_packed(&mut self, key: &[u8], collection: &mut Collection) -> Result<bool, CommandError> {
        let Form::Packed(packing) = collection.form() else {
            return Ok(false);
        };
        if packing.is_stored() && collection.is_as_stored() {
            return Ok(true);
        }
        let patch = packing.patch(collection.indexes())?;
        let header = collection.header();
        let (kind, size, limits) = (collection.kind, collection.size, self.packed_limits);
        // As in Redis, a threshold that has been lowered counts when something is added.
        let may_stay = collection.has_shrunk();
        // Appends the row; true if the collection may be packed.
        let build = |row: &mut Vec<u8>| {
            header.write(row);
            let start = row.len();
            packing.apply(row, &patch)?;
            let body = &row[start..];
            if packed::count(body)? != size {
                return Err(StoreError::Corrupt(
                    "a packed collection has another size than it should".into(),
                ));
            }
            Ok(may_stay || limits.admit(kind, size, body)?)
        };
        if collection.is_stored() && collection.old == Some(header) {
            self.find_meta(key);
            if !self.view.patch(&self.meta, &patch, build)? {
                return Ok(false);
            }
        } else {
            let mut row = Vec::with_capacity(HEADER_BYTES_MAX + packing.body().len() + patch.len());
            if !build(&mut row)? {
                return Ok(false);
            }
            self.put_row(key, collection.old, header, &row[header.bytes().len()..])?;
        }
        self.has_been_stored(key, collection, header);
        let indexes = collection.indexes();
        if let Form::Packed(packing) = collection.form_mut() {
            packing.has_been_stored(indexes);
        }
        Ok(true)
    }

    /// Gives the elements of a packed collection rows of their own.
    fn spread(&mut self, collection: &mut Collection) -> Result<(), CommandError> {
        let Form::Packed(packing) = collection.form() else {
            return Ok(());
        };
        let home = Home {
            slot: collection.slot(),
            id: self.view.new_id()?,
        };
        let own = OwnRows::new(home, collection.kind);
        let mut rows = packing.range(&[], None, Direction::Forward)?;
        while let Some((element, value)) = rows.next() {
            self.view.put(self.space, Cf::Data, &own.data_key(element), value)?;
        }
        collection.is_spread(own);
        Ok(())
    }

    fn has_been_stored(&mut self, key: &[u8], collection: &mut Collection, header: Header) {
        if collection.old.is_none_or(|old| old.kind != header.kind) || collection.has_grown() {
            self.ready(header.kind, key);
        }
        collection.has_been_stored(header);
    }

    /// The value of an element.
    pub fn element(&self, collection: &Collection, element: &[u8]) -> Result<Option<Value<'a>>, CommandError> {
        match collection.form() {
            Form::Packed(packing) => {
                let value = packing.get(element)?;
                Ok(value.map(|value| Value::Owned(value.as_ref().into())))
            }
            Form::Spread(rows) => Ok(self.view.get(self.space, Cf::Data, &rows.data_key(element))?),
        }
    }

    /// Writes the elements of a spread list with these indexes into the reply, in this order, for as long as `goes_on` says, which learns
    /// whether the last one was in memory as a row; how many. They are looked up together: some dozens at a time are best.
    pub(crate) fn reply_with_elements(
        &mut self,
        list: &Collection,
        indexes: impl Iterator<Item = u64> + Clone,
        mut goes_on: impl FnMut(bool) -> bool,
    ) -> Result<u64, CommandError> {
        let Form::Spread(rows) = list.form() else { return Ok(0) };
        let (view, reply) = (&self.view, &mut *self.reply);
        let mut written = 0;
        let keys = indexes.map(|index| rows.indexed_key(index));
        view.get_each(self.space, Cf::Data, keys, |value, was_in_memory| {
            reply.bulk(value.ok_or_else(missing)?);
            written += 1;
            Ok::<_, CommandError>(goes_on(was_in_memory))
        })?;
        Ok(written)
    }

    /// Has the processor fetch the rows of a spread list's elements with these indexes, a few that are likely to be asked for next.
    pub(crate) fn fetch_ahead(&self, list: &Collection, indexes: Range<u64>) {
        if let Form::Spread(rows) = list.form() {
            self.view
                .prefetch(self.space, Cf::Data, indexes.map(|index| rows.indexed_key(index)));
        }
    }

    /// True if there is such an element.
    pub fn has_element(&self, collection: &Collection, element: &[u8]) -> Result<bool, CommandError> {
        match collection.form() {
            Form::Packed(packing) => Ok(packing.get(element)?.is_some()),
            Form::Spread(_) => Ok(self.element(collection, element)?.is_some()),
        }
    }

    /// Changes an element. [`Cx::put_collection`] makes it effective.
    pub fn put_element(
        &mut self,
        collection: &mut Collection,
        element: &[u8],
        value: &[u8],
    ) -> Result<(), CommandError> {
        let kind = collection.kind;
        if let Form::Packed(packing) = collection.form_mut() {
            packing.set(element, Some(value))?;
            if packing.changes() > CHANGES_MAX || !self.packed_limits.admit_item(kind, element, value) {
                self.spread(collection)?;
            }
            return Ok(());
        }
        if let Form::Spread(rows) = collection.form() {
            self.view.put(self.space, Cf::Data, &rows.data_key(element), value)?;
        }
        Ok(())
    }

    /// Removes an element. [`Cx::put_collection`] makes it effective.
    pub fn delete_element(&mut self, collection: &mut Collection, element: &[u8]) -> Result<(), CommandError> {
        match collection.form_mut() {
            Form::Packed(packing) => packing.set(element, None)?,
            Form::Spread(rows) => self.view.delete(self.space, Cf::Data, &rows.data_key(element))?,
        }
        Ok(())
    }

    /// Elements from `lower` up to but not including `upper` (`None`: to the end), in the order of their names. The fields of a
    /// hash that is not packed are in the order of their [spread numbers](haypile_store::keys::spread), and the bounds
    /// are such numbers, big-endian. While the scan lives nothing can be written.
    pub fn scan<'s>(
        &'s mut self,
        collection: &'s Collection,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<Elements<'s>, CommandError> {
        Ok(self.scan_and_reply(collection, lower, upper, direction)?.0)
    }

    /// A place that is not far before the element with this index among the elements of a spread collection between two bounds of
    /// [`Cx::scan`], as [`View::near_nth`](haypile_store::View::near_nth) knows it: a lower bound, and the number of elements below it.
    pub(crate) fn near_nth(
        &mut self,
        collection: &Collection,
        (lower, upper, size): (&[u8], &[u8], u64),
        n: u64,
        may_begin: bool,
    ) -> Result<Option<(ElementName, u64)>, CommandError> {
        let Form::Spread(rows) = collection.form() else {
            return Ok(None);
        };
        let (lower, upper) = (rows.lower_bound(lower), rows.lower_bound(upper));
        let (lower, upper) = (&lower[..], &upper[..]);
        let among = Among { lower, upper, size };
        let near = self.view.near_nth(self.space, among, n, may_begin)?;
        Ok(near.map(|near| (near.from[rows.bytes_before_name()..].into(), near.before)))
    }

    /// The same for an element, which need not be there.
    pub(crate) fn near_element(
        &mut self,
        collection: &Collection,
        (lower, upper, size): (&[u8], &[u8], u64),
        element: &[u8],
        may_begin: bool,
    ) -> Result<Option<(ElementName, u64)>, CommandError> {
        let Form::Spread(rows) = collection.form() else {
            return Ok(None);
        };
        let key = rows.lower_bound(element);
        let (lower, upper) = (rows.lower_bound(lower), rows.lower_bound(upper));
        let (lower, upper) = (&lower[..], &upper[..]);
        let among = Among { lower, upper, size };
        let near = self.view.near_key(self.space, among, &key, may_begin)?;
        Ok(near.map(|near| (near.from[rows.bytes_before_name()..].into(), near.before)))
    }

    /// The elements of a spread collection between two bounds of [`Cx::scan`], for who goes from place to place; nothing of a packed
    /// one. While it lives nothing can be written.
    pub(crate) fn jumps<'s>(
        &'s mut self,
        collection: &'s Collection,
        lower: &[u8],
        upper: Option<&[u8]>,
    ) -> Result<Jumping<'s>, CommandError> {
        let Form::Spread(rows) = collection.form() else {
            return Ok(Jumping::nothing());
        };
        let Some(end) = rows.upper_bound(upper) else {
            return Ok(Jumping::nothing());
        };
        let jumps = self.view.jumps(self.space, &rows.lower_bound(lower), &end)?;
        Ok(Jumping::new(jumps, rows, end))
    }

    /// The name of one of the elements that [`Cx::set_candidates`] was given and that still live, chosen at random. `None` if there is
    /// none, or if they were all and are not any more, and of a packed collection.
    pub(crate) fn candidate(&mut self, collection: &Collection) -> Option<ElementName> {
        let Form::Spread(rows) = collection.form() else {
            return None;
        };
        let chosen = (collection.size, self.random.next_u64());
        let name = |key: &[u8]| key.get(rows.bytes_before_name()..).map(ElementName::from_slice);
        self.view.candidate(self.space, rows.home(), chosen, name)?
    }

    /// How many elements [`Cx::set_candidates`] was given of a collection, lately.
    pub(crate) fn candidates_given(&self, collection: &Collection) -> u64 {
        match collection.form() {
            Form::Spread(rows) => self.view.candidates_given(self.space, rows.home()),
            Form::Packed(_) => 0,
        }
    }

    /// The pass in which those were drawn.
    pub(crate) fn pass(&self, collection: &Collection) -> Pass {
        match collection.form() {
            Form::Spread(rows) => self.view.pass(self.space, rows.home()),
            Form::Packed(_) => Pass::default(),
        }
    }

    /// Keeps elements of a spread collection for who takes random ones one by one: drawn at random in a pass, or all of them.
    pub(crate) fn set_candidates(
        &mut self,
        collection: &Collection,
        elements: &[ElementName],
        are_all: bool,
        pass: Pass,
    ) {
        if let Form::Spread(rows) = collection.form() {
            let keys = elements.iter().map(|element| rows.data_key(element));
            self.view.set_candidates(self.space, rows.home(), keys, are_all, pass);
        }
    }

    /// The same as [`Cx::scan`] with the reply beside it, for commands that write out what they scan.
    pub fn scan_and_reply<'s>(
        &'s mut self,
        collection: &'s Collection,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<(Elements<'s>, &'s mut Reply), CommandError> {
        let elements = match collection.form() {
            Form::Packed(packing) => match packing.ordered(lower, upper, direction)? {
                Some(ordered) => Elements::ordered(ordered),
                None => Elements::packed(packing.range(lower, upper, direction)?),
            },
            Form::Spread(rows) => {
                let (lower, upper) = (rows.lower_bound(lower), rows.upper_bound(upper));
                let scan = self
                    .view
                    .scan(self.space, Cf::Data, &lower, upper.as_deref(), direction)?;
                Elements::spread(scan, rows.bytes_before_name())
            }
        };
        Ok((elements, self.reply))
    }
}
