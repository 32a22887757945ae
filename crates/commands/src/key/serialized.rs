//! How long Redis' dump of a value would be: the `serializedlength` of DEBUG OBJECT.
//!
//! The form is that of RDB 10 for the encoding that OBJECT ENCODING names, without compression. The key, its type and its
//! expiry are no part of it.

use haypile_resp::{format_double, parse_i64};
use haypile_store::Direction;
use haypile_store::keys::meta_key;
use haypile_store::row::Kind;

use super::encoding::{self, LISTPACK_FRAME_BYTES, listpack_entry_bytes};
use super::is_live;
use crate::{Collection, CommandError, Cx, set, zset};

/// Elements that are looked at; the length of a larger collection is estimated from so many.
const SAMPLES: u64 = 1000;
/// Bytes of a listpack in a quicklist: `list-max-listpack-size -2`.
const QUICKLIST_NODE_BYTES: u64 = 8 << 10;
/// A score in a dump.
const SCORE_BYTES: u64 = 8;
/// What stands before the numbers of an intset.
const INTSET_HEAD_BYTES: u64 = 8;
/// The kind of a quicklist's node.
const NODE_KIND_BYTES: u64 = 1;

/// Encoding and length in bytes of a live key's value; `None` if there is no such key.
pub fn serialized(cx: &mut Cx<'_>, key: &[u8]) -> Result<Option<(&'static str, u64)>, CommandError> {
    let Some(row) = cx.raw_row(&meta_key(key))?.filter(|row| is_live(row.header, cx.now)) else {
        return Ok(None);
    };
    let encoding = encoding::name(&row, &cx.packed_limits)?;
    if row.header.kind == Kind::String {
        return Ok(Some((encoding, of_string(row.body()))));
    }
    let collection = Collection::read(row)?;
    let content = Content::read(cx, &collection)?;
    let bytes = match encoding {
        "listpack" => {
            let bytes = of_blob(LISTPACK_FRAME_BYTES as u64 + content.in_listpack);
            match collection.kind {
                Kind::List => of_length(1) + NODE_KIND_BYTES + bytes,
                _ => bytes,
            }
        }
        "intset" => of_blob(INTSET_HEAD_BYTES + collection.size * content.integer_bytes),
        "quicklist" => {
            let nodes = content.in_listpack.div_ceil(QUICKLIST_NODE_BYTES);
            let node = NODE_KIND_BYTES + of_length(QUICKLIST_NODE_BYTES) + LISTPACK_FRAME_BYTES as u64;
            of_length(nodes) + nodes * node + content.in_listpack
        }
        _ => of_length(collection.size) + content.as_strings,
    };
    Ok(Some((encoding, bytes)))
}

/// What a collection's elements take in the forms that they may have.
#[derive(Default)]
struct Content {
    /// As strings, with their scores.
    as_strings: u64,
    /// As entries of a listpack.
    in_listpack: u64,
    /// Of an intset: bytes of each number.
    integer_bytes: u64,
}

impl Content {
    fn read(cx: &mut Cx<'_>, collection: &Collection) -> Result<Content, CommandError> {
        let (mut content, mut seen) = (Content::default(), 0);
        // Of a sorted set's two entries for each member those count that come first in order.
        let mut scan = cx.scan(collection, &[], None, Direction::Forward)?;
        while let Some((element, value)) = scan.next()? {
            if seen == SAMPLES {
                break;
            }
            match collection.kind {
                Kind::Set => content.add_item(set::member_of(element).unwrap_or_default()),
                Kind::Zset => match zset::entry_of(element, Some(value)) {
                    zset::Entry::Member(member, Some(score)) => content.add_scored(member, score),
                    _ => break,
                },
                Kind::Hash => {
                    content.add_item(element);
                    content.add_item(value);
                }
                _ => content.add_item(value),
            }
            seen += 1;
        }
        if seen < collection.size {
            let all = |bytes: u64| {
                let bytes = u128::from(bytes) * u128::from(collection.size) / u128::from(seen.max(1));
                u64::try_from(bytes).unwrap_or(u64::MAX)
            };
            content.as_strings = all(content.as_strings);
            content.in_listpack = all(content.in_listpack);
        }
        Ok(content)
    }

    fn add_item(&mut self, item: &[u8]) {
        self.as_strings += of_string(item);
        self.in_listpack += listpack_entry_bytes(item) as u64;
        let bytes = match parse_i64(item) {
            Some(-0x8000..=0x7fff) => 2,
            Some(-0x8000_0000..=0x7fff_ffff) => 4,
            _ => 8,
        };
        self.integer_bytes = self.integer_bytes.max(bytes);
    }

    fn add_scored(&mut self, member: &[u8], score: f64) {
        self.add_item(member);
        self.as_strings += SCORE_BYTES;
        self.in_listpack += listpack_entry_bytes(format_double(score).as_bytes()) as u64;
    }
}

/// Bytes of a length.
fn of_length(length: u64) -> u64 {
    match length {
        0..=63 => 1,
        64..=16_383 => 2,
        16_384..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Bytes of that many bytes with their length.
fn of_blob(bytes: u64) -> u64 {
    of_length(bytes) + bytes
}

/// Bytes of a string: an integer of up to 32 bits is written as one.
fn of_string(text: &[u8]) -> u64 {
    match parse_i64(text) {
        Some(-0x80..=0x7f) => 2,
        Some(-0x8000..=0x7fff) => 3,
        Some(-0x8000_0000..=0x7fff_ffff) => 5,
        _ => of_blob(text.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn length(bench: &mut Bench, key: &str) -> (String, u64) {
        let found = bench.write(|cx| super::serialized(cx, key.as_bytes())).unwrap();
        let (encoding, bytes) = found.expect("a key");
        (encoding.to_owned(), bytes)
    }

    /// The figures are those of Redis 7.0 with `rdbcompression no`.
    #[test]
    fn small_values_have_redis_lengths() {
        let mut bench = Bench::new();
        let long = "x".repeat(1000);
        for (line, key, encoding, bytes) in [
            ("set s 1", "s", "int", 2),
            ("set s 300", "s", "int", 3),
            ("set s 70000", "s", "int", 5),
            ("set s 7000000000", "s", "int", 11),
            ("set s hello", "s", "embstr", 6),
            (&format!("set s {long}"), "s", "raw", 1002),
            ("rpush l a b c", "l", "listpack", 19),
            ("sadd i 1 2 3", "i", "intset", 15),
            ("sadd i 100000", "i", "intset", 25),
            ("sadd m a b c", "m", "listpack", 17),
            ("hset h f v", "h", "listpack", 14),
            ("zadd z 1 a 2.5 b", "z", "listpack", 21),
            (&format!("hset big f {long}"), "big", "hashtable", 1005),
            (&format!("zadd zbig 1.5 {long}"), "zbig", "skiplist", 1011),
        ] {
            bench.run(line);
            assert_eq!(length(&mut bench, key), (encoding.to_owned(), bytes), "{line}");
        }
    }

    #[test]
    fn the_key_and_its_expiry_do_not_count() {
        let mut bench = Bench::new();
        let name = "k".repeat(500);
        bench.run(&format!("set {name} hello"));
        bench.run(&format!("pexpire {name} 1000"));
        assert_eq!(length(&mut bench, &name).1, 6);
        bench.now += 1000;
        assert!(
            bench
                .write(|cx| super::serialized(cx, name.as_bytes()))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn large_collections_are_estimated() {
        let mut bench = Bench::new();
        bench.fill_set("s", 5000);
        let (encoding, bytes) = length(&mut bench, "s");
        assert_eq!(encoding, "hashtable");
        // Numbers below 128 take 2 bytes, the others 3.
        let exact = 2 + 128 * 2 + (5000 - 128) * 3;
        assert!(bytes.abs_diff(exact) < exact / 20, "{bytes} and {exact}");
    }
}
