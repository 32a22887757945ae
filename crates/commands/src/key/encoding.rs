//! The encodings that OBJECT ENCODING names.
//!
//! There is one layout for each type here, whatever the size. The names are derived: they are those that Redis with its
//! default configuration would give to a value with this content, where its encoding depends on the content alone. (In
//! Redis it depends on the past too: a set that has been large stays a hash table.)

use haypile_resp::parse_i64;
use haypile_store::Direction;
use haypile_store::row::Kind;

use crate::cx::Row;
use crate::{Collection, CommandError, Cx};

/// Longest string that Redis keeps beside its object's header.
const EMBSTR_BYTES_MAX: usize = 44;
/// Longest text of an integer of 64 bits.
const INT_TEXT_BYTES_MAX: usize = 20;
/// `list-max-listpack-size -2`.
const LIST_LISTPACK_BYTES_MAX: usize = 8 << 10;
/// `set-max-intset-entries`.
const INTSET_MEMBERS_MAX: u64 = 512;
/// `set-max-listpack-entries`, `zset-max-listpack-entries`.
const SET_LISTPACK_MEMBERS_MAX: u64 = 128;
/// `hash-max-listpack-entries`.
const HASH_LISTPACK_FIELDS_MAX: u64 = 512;
/// `set-max-listpack-value`, `zset-max-listpack-value`, `hash-max-listpack-value`.
const LISTPACK_ITEM_BYTES_MAX: usize = 64;

/// The name of the encoding. Reads at most a few hundred elements.
pub(super) fn name(cx: &mut Cx<'_>, key: &[u8], row: &Row<'_>) -> Result<&'static str, CommandError> {
    if row.header.kind == Kind::String {
        return Ok(of_string(row.body()));
    }
    let collection = Collection::read(key, row.header, row.body())?;
    let size = collection.size;
    let small = |item: &[u8]| item.len() <= LISTPACK_ITEM_BYTES_MAX;
    Ok(match collection.kind {
        Kind::String => of_string(row.body()),
        Kind::Stream => "stream",
        Kind::List => {
            let mut bytes = LISTPACK_FRAME_BYTES;
            let fits = all(cx, &collection, |_, value| {
                bytes += listpack_entry_bytes(value);
                bytes <= LIST_LISTPACK_BYTES_MAX
            })?;
            if fits { "listpack" } else { "quicklist" }
        }
        Kind::Set if size <= INTSET_MEMBERS_MAX && all(cx, &collection, |member, _| parse_i64(member).is_some())? => {
            "intset"
        }
        Kind::Set if size <= SET_LISTPACK_MEMBERS_MAX && all(cx, &collection, |member, _| small(member))? => "listpack",
        Kind::Set => "hashtable",
        Kind::Zset if size <= SET_LISTPACK_MEMBERS_MAX && all(cx, &collection, |member, _| small(member))? => {
            "listpack"
        }
        Kind::Zset => "skiplist",
        Kind::Hash
            if size <= HASH_LISTPACK_FIELDS_MAX
                && all(cx, &collection, |field, value| small(field) && small(value))? =>
        {
            "listpack"
        }
        Kind::Hash => "hashtable",
    })
}

fn of_string(value: &[u8]) -> &'static str {
    if value.len() <= INT_TEXT_BYTES_MAX && parse_i64(value).is_some() {
        "int"
    } else if value.len() <= EMBSTR_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

/// True if the condition holds for each element: its member, field or (for a list) index, and what is stored with it.
fn all(
    cx: &mut Cx<'_>,
    collection: &Collection,
    mut condition: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<bool, CommandError> {
    // What stands before a member, by the layouts that the types' modules describe.
    let (before_member, tag): (usize, &[u8]) = match collection.kind {
        // A spread number.
        Kind::Set => (2, &[]),
        // The tag of member entries and a spread number.
        Kind::Zset => (3, &[0]),
        _ => (0, &[]),
    };
    let (lower, upper) = (collection.element(&[tag]), collection.end_of(tag));
    let mut elements = cx.scan(&lower, upper.as_deref(), Direction::Forward)?;
    while let Some((key, value)) = elements.next()? {
        let member = collection.strip(key).get(before_member..).unwrap_or_default();
        if !condition(member, value) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of a listpack around its entries: total length, number of entries, end mark.
pub(super) const LISTPACK_FRAME_BYTES: usize = 7;

/// Bytes that an entry takes in a Redis listpack: its encoding, its content, and its length once more for reading
/// backwards.
pub(super) fn listpack_entry_bytes(value: &[u8]) -> usize {
    let forwards = match parse_i64(value) {
        Some(0..=127) => 1,
        Some(-4096..=4095) => 2,
        Some(-0x8000..=0x7fff) => 3,
        Some(-0x80_0000..=0x7f_ffff) => 4,
        Some(-0x8000_0000..=0x7fff_ffff) => 5,
        Some(_) => 9,
        None => match value.len() {
            len @ 0..=63 => 1 + len,
            len @ 64..=4095 => 2 + len,
            len => 5 + len,
        },
    };
    let backwards = match forwards {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    forwards + backwards
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use super::{listpack_entry_bytes, of_string};
    use crate::testing::Bench;

    #[test]
    fn collections_by_size_and_content() {
        let numbers = |n: usize| (0..n).map(|i| (i.to_string(), i.to_string())).collect::<Vec<_>>();
        let words = |n: usize, len: usize| {
            let word = move |i: usize| format!("{i:x>len$}");
            (0..n).map(|i| (word(i), word(i))).collect::<Vec<_>>()
        };
        let mut bench = Bench::new();
        for (kind, items, name) in [
            (Kind::Set, numbers(512), "intset"),
            (Kind::Set, numbers(513), "hashtable"),
            (Kind::Set, words(128, 64), "listpack"),
            (Kind::Set, words(129, 64), "hashtable"),
            (Kind::Set, words(1, 65), "hashtable"),
            (Kind::Set, [numbers(100), words(1, 5)].concat(), "listpack"),
            (Kind::Zset, words(128, 64), "listpack"),
            (Kind::Zset, words(129, 64), "skiplist"),
            (Kind::Zset, words(1, 65), "skiplist"),
            (Kind::Hash, words(512, 64), "listpack"),
            (Kind::Hash, words(513, 64), "hashtable"),
            (Kind::Hash, words(1, 65), "hashtable"),
            (Kind::Hash, vec![("f".into(), "x".repeat(65))], "hashtable"),
            // 65 bytes each, within 8 KiB.
            (Kind::List, words(125, 63), "listpack"),
            (Kind::List, words(126, 63), "quicklist"),
            (Kind::List, vec![(String::new(), "x".repeat(9000))], "quicklist"),
        ] {
            bench.filled("k", kind, &items);
            let reply = bench.run("object encoding k");
            assert_eq!(reply, format!("${}|{name}|", name.len()), "{kind:?} of {}", items.len());
        }
    }

    #[test]
    fn strings_by_length_and_content() {
        for (value, name) in [
            ("0", "int"),
            ("-9223372036854775808", "int"),
            ("9223372036854775808", "embstr"),
            ("007", "embstr"),
            ("", "embstr"),
            ("12345678901234567890123456789012345678901234", "embstr"),
            ("123456789012345678901234567890123456789012345", "raw"),
        ] {
            assert_eq!(of_string(value.as_bytes()), name, "{value}");
        }
    }

    /// The sizes are those of the listpack specification.
    #[test]
    fn listpack_entries_by_content() {
        for (value, bytes) in [
            ("0", 2),
            ("127", 2),
            ("128", 3),
            ("-1", 3),
            ("4096", 4),
            ("40000", 5),
            ("10000000", 6),
            ("10000000000", 10),
            ("", 2),
            ("abc", 5),
        ] {
            assert_eq!(listpack_entry_bytes(value.as_bytes()), bytes, "{value}");
        }
        assert_eq!(listpack_entry_bytes(&[b'x'; 64]), 67);
        assert_eq!(listpack_entry_bytes(&[b'x'; 200]), 204);
        assert_eq!(listpack_entry_bytes(&[b'x'; 5000]), 5007);
    }
}
