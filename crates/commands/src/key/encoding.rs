//! The encodings that OBJECT ENCODING names, in Redis' words: a packed collection is a listpack, or an intset if it is a set of
//! integers only and not too large for that, a spread one is what Redis has for large ones.

use haypile_resp::parse_i64;
use haypile_store::row::Kind;

use crate::collection::is_intset;
use crate::cx::Row;
use crate::{CommandError, PackedLimits};

/// Longest string that Redis keeps beside its object's header.
const EMBSTR_BYTES_MAX: usize = 44;
/// Longest text of an integer of 64 bits.
const INT_TEXT_BYTES_MAX: usize = 20;

/// The name of the encoding.
pub(super) fn name(row: &Row<'_>, limits: &PackedLimits) -> Result<&'static str, CommandError> {
    Ok(match (row.header.kind, row.header.packed) {
        (Kind::String, _) => of_string(row.body()),
        (Kind::Set, true) if is_intset(row.body(), limits)? => "intset",
        (_, true) => "listpack",
        (Kind::List, false) => "quicklist",
        (Kind::Set | Kind::Hash, false) => "hashtable",
        (Kind::Zset, false) => "skiplist",
        (Kind::Stream, false) => "stream",
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
    use crate::PackedLimits;
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
            (Kind::Set, words(126, 64), "listpack"),
            (Kind::Set, words(129, 64), "hashtable"),
            (Kind::Set, words(1, 65), "hashtable"),
            (Kind::Set, [numbers(100), words(1, 5)].concat(), "listpack"),
            (Kind::Zset, words(112, 64), "listpack"),
            (Kind::Zset, words(129, 64), "skiplist"),
            (Kind::Zset, words(1, 65), "skiplist"),
            (Kind::Hash, words(50, 64), "listpack"),
            // 8 KiB are the most, whatever the thresholds say.
            (Kind::Hash, words(64, 64), "hashtable"),
            (Kind::Hash, numbers(512), "listpack"),
            (Kind::Hash, numbers(513), "hashtable"),
            (Kind::Hash, words(513, 64), "hashtable"),
            (Kind::Hash, words(1, 65), "hashtable"),
            (Kind::Hash, vec![("f".into(), "x".repeat(65))], "hashtable"),
            // 64 bytes each, within 8 KiB.
            (Kind::List, words(127, 63), "listpack"),
            (Kind::List, words(128, 63), "quicklist"),
            (Kind::List, vec![(String::new(), "x".repeat(9000))], "quicklist"),
        ] {
            bench.filled("k", kind, &items);
            let reply = bench.run("object encoding k");
            assert_eq!(reply, format!("${}|{name}|", name.len()), "{kind:?} of {}", items.len());
        }
    }

    /// As in Redis.
    #[test]
    fn a_lower_threshold_counts_when_something_is_added() {
        let mut bench = Bench::new();
        bench.run("hset h a 1 b 2 c 3 d 4");
        bench.run("zadd z 1 a 2 b 3 c 4 d");
        bench.run("sadd s a b c d");
        bench.run("rpush l a b c d");
        bench.limits = PackedLimits {
            hash_entries: 1,
            zset_entries: 1,
            set_entries: 1,
            list_size: 1,
            ..PackedLimits::default()
        };
        for (key, less, more, name) in [
            ("h", "hdel h a", "hset h e 5", "hashtable"),
            ("z", "zrem z a", "zadd z 5 e", "skiplist"),
            ("s", "srem s a", "sadd s e", "hashtable"),
            ("l", "lpop l", "rpush l e", "quicklist"),
        ] {
            assert_eq!(bench.run(less).replace("$1|a|", ":1|"), ":1|");
            assert_eq!(bench.run(&format!("object encoding {key}")), "$8|listpack|");
            bench.run(more);
            let reply = bench.run(&format!("object encoding {key}"));
            assert_eq!(reply, format!("${}|{name}|", name.len()));
        }
    }

    #[test]
    fn integers_by_the_threshold_of_intsets() {
        let mut bench = Bench::new();
        bench.run("sadd k 1 2 3");
        for (entries, name) in [(512, "intset"), (3, "intset"), (2, "listpack"), (0, "listpack")] {
            bench.limits.intset_entries = entries;
            assert_eq!(
                bench.run("object encoding k"),
                format!("${}|{name}|", name.len()),
                "{entries}"
            );
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
