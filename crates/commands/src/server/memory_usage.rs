//! MEMORY USAGE: what a key takes. Data is on disk, so this is its size before compression, not memory.

use haypile_resp::Request;
use haypile_store::Direction;
use haypile_store::keys::meta_key;
use haypile_store::row::Kind;

use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::{Collection, CommandError, Cx, Outcome};

/// Elements that are looked at if the request does not say how many.
const SAMPLES: u64 = 5;

/// Bytes of a key's place in the expiry index, beside its meta key.
const EXPIRY_BYTES: u64 = 8;

pub(super) fn usage(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let samples = samples(request)?;
    match key_bytes(cx, &request[2], samples)? {
        Some(bytes) => cx.reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// Bytes of a key and its value before compression, estimated from as many elements as `samples` says; `None` if there
/// is no such key. Does not count as a use of the key.
pub fn key_bytes(cx: &mut Cx<'_>, key: &[u8], samples: u64) -> Result<Option<u64>, CommandError> {
    let meta = meta_key(key);
    let row = cx.raw_row(&meta)?;
    let Some(row) = row.filter(|row| row.header.expire_at.is_none_or(|at| at > cx.now)) else {
        return Ok(None);
    };
    let tag = 1 + row.header.expire_at.map_or(0, |_| 8);
    let mut bytes = meta.len() as u64 + tag + row.body().len() as u64;
    if row.header.expire_at.is_some() {
        bytes += EXPIRY_BYTES + meta.len() as u64;
    }
    if row.header.kind != Kind::String {
        let collection = Collection::read(row)?;
        if !collection.is_packed() {
            bytes = bytes.saturating_add(elements(cx, &collection, samples)?);
        }
    }
    Ok(Some(bytes))
}

/// The number of elements to look at; `u64::MAX` for all.
fn samples(request: &Request) -> Result<u64, CommandError> {
    let mut samples = SAMPLES;
    let mut at = 3;
    while at < request.len() {
        if !is(&request[at], "SAMPLES") || at + 1 == request.len() {
            return Err(SYNTAX);
        }
        samples = match u64::try_from(integer(&request[at + 1])?) {
            Ok(0) => u64::MAX,
            Ok(count) => count,
            Err(_) => return Err(SYNTAX),
        };
        at += 2;
    }
    Ok(samples)
}

/// Bytes of all elements, estimated from the first ones.
fn elements(cx: &mut Cx<'_>, collection: &Collection, samples: u64) -> Result<u64, CommandError> {
    let (mut seen, mut bytes) = (0u64, 0u64);
    let before = collection.data_key_bytes();
    let mut scan = cx.scan(collection, &[], None, Direction::Forward)?;
    while seen < samples {
        let Some((key, value)) = scan.next()? else {
            return Ok(bytes);
        };
        seen += 1;
        bytes += (before + key.len() + value.len()) as u64;
    }
    // A sorted set has two entries for each member.
    let entries = match collection.kind {
        Kind::Zset => collection.size.saturating_mul(2),
        _ => collection.size,
    };
    let total = u128::from(bytes) * u128::from(entries.max(seen)) / u128::from(seen.max(1));
    Ok(u64::try_from(total).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;
    use crate::{CommandError, Cx};

    fn usage(bench: &mut Bench, line: &str) -> u64 {
        let reply = bench.run(line);
        reply.trim_start_matches(':').trim_end_matches('|').parse().unwrap()
    }

    #[test]
    fn grows_with_the_value() {
        let mut bench = Bench::new();
        bench.write(|cx| cx.put_string(b"k", None, &[b'x'; 100], None)).unwrap();
        assert_eq!(usage(&mut bench, "memory usage k"), 4 + 1 + 1 + 100);
        bench.run("pexpire k 1000");
        assert_eq!(usage(&mut bench, "memory usage k"), 5 + 9 + 100 + 13);
        bench.now += 1000;
        assert_eq!(bench.run("memory usage k"), "$-1|");
        assert_eq!(bench.run("memory usage nothing"), "$-1|");
    }

    #[test]
    fn estimates_a_collection_from_samples() {
        let mut bench = Bench::new();
        let fill = |cx: &mut Cx<'_>| -> Result<(), CommandError> {
            let mut hash = cx.collection_or_new(b"h", Kind::Hash)?;
            for i in 0..1000 {
                cx.put_element(&mut hash, format!("field:{i:06}").as_bytes(), &[b'v'; 50])?;
            }
            hash.size = 1000;
            cx.put_collection(b"h", &mut hash)
        };
        bench.write(fill).unwrap();
        let all = usage(&mut bench, "memory usage h samples 0");
        assert!(all > 1000 * 62, "{all}");
        let few = usage(&mut bench, "memory usage h");
        assert!(few.abs_diff(all) < all / 100, "{few} and {all}");
    }

    #[test]
    fn arguments_are_checked() {
        let mut bench = Bench::new();
        for line in [
            "memory usage k samples",
            "memory usage k samples -1",
            "memory usage k x 1",
        ] {
            assert_eq!(bench.run(line), "-ERR syntax error|");
        }
        assert_eq!(
            bench.run("memory usage k samples x"),
            "-ERR value is not an integer or out of range|"
        );
    }
}
