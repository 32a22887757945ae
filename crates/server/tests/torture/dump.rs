//! What the server has: every key with its value, and whether what it says about sizes is true.

use std::collections::BTreeMap;

use super::apply::{in_order, texts};
use super::choose::HLL_ELEMENTS;
use super::model::{Data, Item, State};
use haypile_testkit::{Client, Value, now_ms, text, wait_until};

/// The keys of all connections: by connection, and what belongs to none.
pub struct Dump {
    pub states: Vec<State>,
    pub others: Vec<String>,
    /// Between these times it was read, milliseconds since the epoch.
    pub times: (u64, u64),
}

/// Reads the databases from 0 up to but not including `dbs`, while nobody writes.
pub fn read(client: &mut Client, dbs: u16, workers: usize) -> Result<Dump, String> {
    let mut dump = Dump {
        states: vec![State::default(); workers],
        others: Vec::new(),
        times: (now_ms(), 0),
    };
    for db in 0..dbs {
        client.cmd(&["SELECT", &db.to_string()]);
        for key in scan(client)? {
            let Some(item) = read_key(client, &key).map_err(|e| format!("{key} in database {db}: {e}"))? else {
                continue;
            };
            let owner = key
                .strip_prefix('w')
                .and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
            match owner.and_then(|owner| dump.states.get_mut(owner)) {
                Some(state) => drop(state.items.insert((db, key), item)),
                None => dump.others.push(key),
            }
        }
    }
    dump.times.1 = now_ms();
    Ok(dump)
}

/// Waits until every database has as many keys as SCAN finds: keys that have expired are counted until they are removed.
pub fn check_sizes(client: &mut Client, dbs: u16) {
    for db in 0..dbs {
        client.cmd(&["SELECT", &db.to_string()]);
        let mut seen = (0, 0);
        let settled = |seen: &mut (i64, i64), client: &mut Client| {
            let found = scan(client).map_or(-1, |keys| keys.len() as i64);
            *seen = (client.cmd(&["DBSIZE"]).as_i64().unwrap_or(-2), found);
            seen.0 == seen.1
        };
        // A moment is enough for those that still expire; the patience is for a slow machine.
        wait_until(&format!("DBSIZE and SCAN of database {db} to agree"), || {
            settled(&mut seen, client)
        });
    }
}

fn scan(client: &mut Client) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = client.cmd(&["SCAN", &cursor, "COUNT", "100"]);
        let page = reply
            .as_elements()
            .and_then(|parts| Some((parts[0].as_bytes()?, texts(&parts[1])?)));
        let Some((next, page)) = page else {
            return Err(format!("SCAN is answered with {}", text(&reply)));
        };
        keys.extend(page);
        cursor = String::from_utf8_lossy(next).into_owned();
        if cursor == "0" {
            let found = keys.len();
            keys.sort();
            keys.dedup();
            return match keys.len() == found {
                true => Ok(keys),
                false => Err("SCAN gives a key twice while nobody writes".into()),
            };
        }
    }
}

/// The value of a key; `None` if it has just expired.
fn read_key(client: &mut Client, key: &str) -> Result<Option<Item>, String> {
    let kind = ask(client, &["TYPE", key])?;
    let data = match text(&kind).as_str() {
        "none" => return Ok(None),
        "string" => read_text(client, key)?,
        "list" => {
            let list = list(client, &["LRANGE", key, "0", "-1"])?;
            same(client, &["LLEN", key], list.len())?;
            Data::List(list.into())
        }
        "hash" => {
            let hash = pairs(list(client, &["HGETALL", key])?);
            same(client, &["HLEN", key], hash.len())?;
            Data::Hash(hash)
        }
        "set" => {
            let members = list(client, &["SMEMBERS", key])?;
            same(client, &["SCARD", key], members.len())?;
            Data::Set(members.into_iter().collect())
        }
        "zset" => read_zset(client, key)?,
        other => return Err(format!("its type is {other}")),
    };
    let expires = match ask(client, &["PEXPIRETIME", key])? {
        Value::Integer(-2) => return Ok(None),
        Value::Integer(at) => u64::try_from(at).ok(),
        other => return Err(format!("PEXPIRETIME is answered with {}", text(&other))),
    };
    let vanished = match &data {
        Data::Text(text) => text.is_empty(),
        Data::Hll(_) => false,
        Data::List(list) => list.is_empty(),
        Data::Hash(hash) => hash.is_empty(),
        Data::Set(set) => set.is_empty(),
        Data::Zset(zset) => zset.is_empty(),
    };
    match vanished {
        false => Ok(Some(Item { data, expires })),
        // It may have expired between two commands, and then it stays away.
        true if expires.is_some_and(|at| at <= now_ms()) => Ok(None),
        true => Err("it is empty".into()),
    }
}

fn read_text(client: &mut Client, key: &str) -> Result<Data, String> {
    let value = ask(client, &["GET", key])?;
    let Some(bytes) = value.as_bytes() else {
        return Ok(Data::Text(String::new()));
    };
    if !bytes.starts_with(b"HYLL") {
        same(client, &["STRLEN", key], bytes.len())?;
        return Ok(Data::Text(String::from_utf8_lossy(bytes).into_owned()));
    }
    // Which elements were added cannot be read; that adding one changes nothing tells it, on a copy.
    let mut elements = std::collections::BTreeSet::new();
    for element in (0..HLL_ELEMENTS).map(|n| format!("h{n}")) {
        // The copy expires when the key does.
        ask(client, &["DEL", "probe"])?;
        ask(client, &["COPY", key, "probe"])?;
        if ask(client, &["PFADD", "probe", &element])? == Value::Integer(0) {
            elements.insert(element);
        }
    }
    ask(client, &["DEL", "probe"])?;
    if is_gone(client, key) {
        return Ok(Data::Text(String::new()));
    }
    same(client, &["PFCOUNT", key], elements.len())?;
    Ok(Data::Hll(elements))
}

fn read_zset(client: &mut Client, key: &str) -> Result<Data, String> {
    let ranked = list(client, &["ZRANGE", key, "0", "-1", "WITHSCORES"])?;
    let order: Vec<&String> = ranked.iter().step_by(2).collect();
    let score = |text: &String| text.parse::<i64>().map_err(|_| format!("a score is {text}"));
    let mut zset = BTreeMap::new();
    for pair in ranked.chunks(2) {
        zset.insert(pair[0].clone(), score(&pair[1])?);
    }
    same(client, &["ZCARD", key], zset.len())?;
    same(client, &["ZCOUNT", key, "-inf", "+inf"], zset.len())?;
    if !order
        .iter()
        .copied()
        .eq(in_order(&zset).iter().map(|(member, _)| member))
    {
        return Err(format!("ZRANGE is out of order: {ranked:?}"));
    }
    for (member, score) in &zset {
        // The index by member, where ZRANGE has read the one by score.
        let found = ask(client, &["ZSCORE", key, member])?;
        if found != Value::Bulk(score.to_string().into_bytes()) && !is_gone(client, key) {
            return Err(format!(
                "ZRANGE gives {member} the score {score}, ZSCORE {}",
                text(&found)
            ));
        }
    }
    Ok(Data::Zset(zset))
}

fn ask(client: &mut Client, command: &[&str]) -> Result<Value, String> {
    match client.cmd(command) {
        Value::Error(error) => Err(format!("{command:?} is answered with {error}")),
        value => Ok(value),
    }
}

fn list(client: &mut Client, command: &[&str]) -> Result<Vec<String>, String> {
    let reply = ask(client, command)?;
    texts(&reply).ok_or_else(|| format!("{command:?} is answered with {}", text(&reply)))
}

fn pairs(list: Vec<String>) -> BTreeMap<String, String> {
    list.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Checks a size, unless the key has expired since.
fn same(client: &mut Client, command: &[&str], found: usize) -> Result<(), String> {
    let said = ask(client, command)?;
    match said == Value::Integer(found as i64) || is_gone(client, command[1]) {
        true => Ok(()),
        false => Err(format!("{command:?} is {}, and {found} are found", text(&said))),
    }
}

fn is_gone(client: &mut Client, key: &str) -> bool {
    client.cmd(&["EXISTS", key]) == Value::Integer(0)
}
