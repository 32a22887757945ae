//! The parts of DEBUG that look at data: digests, objects, reloading.

use haypile_commands::args::integer;
use haypile_commands::error::{NO_SUCH_KEY, NOT_POSITIVE};
use haypile_commands::key::{digest, encoding_of, serialized};
use haypile_commands::server::key_bytes;
use haypile_commands::{CommandError, Cx, Outcome};
use haypile_partition::Turn;
use haypile_resp::Request;

use crate::commands::{ServerCx, data_of};

/// Elements of a value that its size is estimated from.
const SAMPLES: u64 = 1000;

pub(super) fn digest(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let digest = cx.inspect(|cx| Ok(digest::everything(&mut cx.view)?))?;
    cx.reply.simple(&digest.to_string());
    Ok(())
}

/// The index of the last entry shown before and after, the digest of everything, and for each database with keys its
/// number, its keys, and its digest.
pub(super) fn digest_databases(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let data = data_of(cx.node)?;
    let before = data.log_ends().applied;
    let digests = cx.inspect(|cx| Ok(digest::databases(&mut cx.view)?))?;
    let after = data.log_ends().applied;
    let mut total = digest::Digest::default();
    digests.iter().for_each(|(_, _, digest)| total.add(*digest));
    cx.reply.array(3 + digests.len());
    cx.reply.integer(before as i64);
    cx.reply.integer(after as i64);
    cx.reply.simple(&total.to_string());
    for (db, keys, digest) in digests {
        cx.reply.array(3);
        cx.reply.integer(i64::from(db));
        cx.reply.integer(keys as i64);
        cx.reply.simple(&digest.to_string());
    }
    Ok(())
}

pub(super) fn digest_value(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    cx.reply.array(request.len() - 2);
    for key in request.iter().skip(2) {
        let db = cx.session.db;
        let digest = cx.inspect(|cx| Ok(digest::value(&mut cx.view, db, key)?))?;
        cx.reply.simple(&digest.unwrap_or_default().to_string());
    }
    Ok(())
}

/// Encoding and size of a key's value.
fn look_at(cx: &mut ServerCx<'_, '_>, key: &[u8]) -> Result<(&'static str, u64), CommandError> {
    cx.inspect(|cx| {
        let encoding = encoding_of(cx, key)?.ok_or(NO_SUCH_KEY)?;
        Ok((encoding, key_bytes(cx, key, SAMPLES)?.unwrap_or(0)))
    })
}

pub(super) fn object(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (encoding, bytes) = cx.inspect(|cx| serialized(cx, &request[2])?.ok_or(NO_SUCH_KEY))?;
    // There is no address: values are on disk.
    cx.reply.simple(&format!(
        "Value at:0x000000000000 refcount:1 encoding:{encoding} serializedlength:{bytes} lru:0 lru_seconds_idle:0"
    ));
    Ok(())
}

/// Length of a string that Redis would keep as bytes.
fn string_bytes(cx: &mut ServerCx<'_, '_>, key: &[u8]) -> Result<usize, CommandError> {
    cx.inspect(|cx| match encoding_of(cx, key)?.ok_or(NO_SUCH_KEY)? {
        "embstr" | "raw" => Ok(cx.string(key)?.map_or(0, |row| row.body().len())),
        _ => Err(CommandError::reply("ERR Not an sds encoded string.")),
    })
}

pub(super) fn sdslen(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (bytes, key) = (string_bytes(cx, &request[2])?, request[2].len());
    cx.reply.simple(&format!(
        "key_sds_len:{key}, key_sds_avail:0, key_zmalloc: {key}, val_sds_len:{bytes}, val_sds_avail:0, val_zmalloc: \
         {bytes}"
    ));
    Ok(())
}

pub(super) fn listpack(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match look_at(cx, &request[2])?.0 {
        "listpack" | "quicklist" => cx.reply.ok(),
        _ => return Err(CommandError::reply("ERR Not a listpack encoded object.")),
    }
    Ok(())
}

pub(super) fn htstats(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let counts = cx.node.partitions.counts();
    let db = usize::try_from(integer(&request[2])?).ok();
    let Some(counts) = db.and_then(|db| counts.get(db)) else {
        return Err(CommandError::reply("ERR Out of range database"));
    };
    let text = format!(
        "[Dictionary HT]\nKeys are on disk: there is no hash table.\n number of elements: {}\n[Expires HT]\n number of \
         elements: {}\n",
        counts.keys, counts.expires
    );
    cx.reply.verbatim("txt", &text);
    Ok(())
}

pub(super) fn htstats_key(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (encoding, bytes) = look_at(cx, &request[2])?;
    if !matches!(encoding, "hashtable" | "skiplist") {
        return Err(CommandError::reply(
            "ERR The value stored at the specified key is not represented using an hash table",
        ));
    }
    cx.reply.verbatim(
        "txt",
        &format!("Elements are on disk: there is no hash table.\n bytes: {bytes}\n"),
    );
    Ok(())
}

/// What is in memory only goes to disk, as a clean stop does it.
pub(super) fn save(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    data_of(cx.node)?.store().flush()?;
    cx.reply.ok();
    Ok(())
}

/// Keys that are created in one turn: bounds how long others wait.
const POPULATE_BATCH: u64 = 1000;
/// Largest value, bytes.
const POPULATE_BYTES_MAX: i64 = 1 << 20;

pub(super) fn populate(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let count = u64::try_from(integer(&request[2])?).map_err(|_| NOT_POSITIVE)?;
    let prefix = request.get(3).unwrap_or(b"key");
    let size = match request.get(4) {
        None => None,
        Some(size) => match integer(size)? {
            size @ 0..=POPULATE_BYTES_MAX => Some(size as usize),
            _ => return Err(CommandError::reply("ERR the size of a value must be from 0 to 1048576")),
        },
    };
    let db = cx.session.db;
    let mut from = 0;
    while from < count {
        let to = count.min(from + POPULATE_BATCH);
        let fill = |turn: &mut Turn<'_>| turn.internal("populate", db, |cx| fill(cx, prefix, from..to, size));
        match cx.turn.as_deref_mut() {
            Some(turn) => fill(turn)?,
            None => data_of(cx.node)?
                .run_internal(fill)
                .map_err(|error| CommandError::reply(error.to_string()))??,
        }
        from = to;
    }
    cx.reply.ok();
    Ok(())
}

fn fill(cx: &mut Cx<'_>, prefix: &[u8], numbers: std::ops::Range<u64>, size: Option<usize>) -> Outcome {
    for n in numbers {
        let key = [prefix, b":", n.to_string().as_bytes()].concat();
        if cx.row(&key)?.is_some() {
            continue;
        }
        let mut value = format!("value:{n}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        cx.put_string(&key, None, &value, None)?;
        cx.touch(&key);
    }
    Ok(())
}
