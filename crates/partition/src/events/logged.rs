//! The keyspace events of entries that somebody else wrote, as the subscribers of a replica get them.

use haypile_commands::{KeyEvent, table};
use haypile_store::effects::{Effect, Effects};
use haypile_store::{Cf, keys};

use super::{Counters, Event};

/// Tells the events of an entry that somebody wants, in order. `before` is called before each effect with its place in the
/// payload, and may tell more.
pub(crate) fn of_entry(
    payload: &[u8],
    counters: &Counters,
    out: &mut Vec<Event>,
    mut before: impl FnMut(usize, &mut Vec<Event>),
) {
    let (mut db_of_tag, mut row) = (0, None);
    let mut effects = Effects::new(payload);
    loop {
        before(effects.offset(), out);
        let Some(Ok(effect)) = effects.next() else { return };
        let mut tell = |event: Option<KeyEvent>, db: u16, key: &[u8]| {
            if let Some(event) = event.and_then(KeyEvent::on_replica)
                && counters.wants(event.class())
            {
                let key = key.to_vec();
                out.push(Event::Key { event, db, key });
            }
        };
        match effect {
            Effect::Tag {
                command,
                db,
                key,
                new,
                own,
            } => {
                (db_of_tag, row) = (db, None);
                if new {
                    tell(Some(KeyEvent::New), db, key);
                }
                if own {
                    tell(own_event(command), db, key);
                }
            }
            Effect::Put { cf: Cf::Meta, key, .. }
            | Effect::Delete { cf: Cf::Meta, key, .. }
            | Effect::Patch { key, .. } => row = Some(keys::user_key(key)),
            Effect::EventOfRow { event } => {
                if let Some(row) = row {
                    tell(KeyEvent::from_code(event), db_of_tag, row);
                }
            }
            Effect::Event { event, db, key } => tell(KeyEvent::from_code(event), db, key),
            Effect::Put { .. } | Effect::Delete { .. } | Effect::Map { .. } | Effect::Members { .. } => {}
        }
    }
}

fn own_event(command: &[u8]) -> Option<KeyEvent> {
    table::find(command)?.event
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use haypile_commands::Class;

    use super::*;

    #[test]
    fn an_event_of_a_row_may_be_about_a_patched_one() {
        let counters = Counters::default();
        counters.notify.store(Class::Hash as u32, Ordering::Relaxed);
        // As `store/src/effects.rs` has them: a tag, a row that is deleted, another that is patched, an event of a row.
        let payload = [
            &[5, 4, b'h', b'd', b'e', b'l', 3, 1, b'a'][..],
            &[2, 0, 0, 5, 0, 0, 0, 0, b'a'],
            &[11, 0, 0, 5, 0, 0, 0, 0, b'b', 4, 5, 1, 0, b'f'],
            &[9, KeyEvent::HDel as u8],
        ]
        .concat();
        let mut events = Vec::new();
        of_entry(&payload, &counters, &mut events, |_, _| {});
        let expected = Event::Key {
            event: KeyEvent::HDel,
            db: 3,
            key: b"b".to_vec(),
        };
        assert_eq!(events, [expected]);
    }
}
