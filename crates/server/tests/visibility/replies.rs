//! What a command must answer in a state.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::data::{Data, Item};
use super::expected::Expected;
use super::scenario::{Command, Moment, Unit};
use haypile_testkit::{Value, bulk, int, ok};

/// What the unit must answer: a command its reply, a transaction all of them.
pub fn of_unit(unit: &Unit, moment: &mut dyn Moment) -> Expected {
    let mut db = unit.db;
    let mut replies: Vec<_> = unit
        .commands
        .iter()
        .map(|command| of_command(command, &mut db, moment))
        .collect();
    match unit.transaction {
        true => Expected::All(replies),
        false => replies.remove(0),
    }
}

/// What a command must answer in this database, which SELECT changes.
fn of_command(command: &Command, db: &mut u16, moment: &mut dyn Moment) -> Expected {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words[..] {
        ["SELECT", to] => {
            *db = number(to) as u16;
            Expected::Is(ok())
        }
        ["DBSIZE"] => Expected::Is(int(moment.keys(*db).len() as i64)),
        ["KEYS", "*"] => Expected::in_any_order(moment.keys(*db)),
        ["RANDOMKEY"] => Expected::one_of(moment.keys(*db)),
        ["EXISTS", ref keys @ ..] => {
            let there = keys.iter().filter(|key| moment.item(*db, key).is_some());
            Expected::Is(int(there.count() as i64))
        }
        ["MGET", ref keys @ ..] => {
            let texts = keys.iter().map(|key| match moment.item(*db, key).as_ref() {
                Some(Item {
                    data: Data::Text(text), ..
                }) => bulk(text),
                _ => Value::Null,
            });
            Expected::Is(Value::Array(texts.collect()))
        }
        [name @ ("SUNION" | "SINTER" | "SDIFF"), ref keys @ ..] => {
            of_sets(name, &keys.iter().map(|key| moment.item(*db, key)).collect::<Vec<_>>())
        }
        [
            name @ ("SINTERCARD" | "ZUNION" | "ZINTER" | "ZDIFF" | "ZINTERCARD"),
            count,
            ref rest @ ..,
        ] => {
            let (keys, options) = rest.split_at(number(count) as usize);
            let items: Vec<_> = keys.iter().map(|key| moment.item(*db, key)).collect();
            match name {
                "SINTERCARD" => of_sets(name, &items),
                _ => of_sorted_sets(name, &items, options == ["WITHSCORES"]),
            }
        }
        [name, key, ref rest @ ..] => of_key(name, moment.item(*db, key).as_ref().as_ref(), rest),
        _ => panic!("nothing is known of {words:?}"),
    }
}

/// What a command with one key must answer.
fn of_key(name: &str, item: Option<&Item>, rest: &[&str]) -> Expected {
    let data = item.map(|item| &item.data);
    match (name, data) {
        ("TYPE", _) => {
            let of = |data: &Data| match data {
                Data::Text(_) => "string",
                Data::Hash(_) => "hash",
                Data::List(_) => "list",
                Data::Set(_) => "set",
                Data::Zset(_) => "zset",
            };
            Expected::Is(Value::Simple(data.map_or("none", of).into()))
        }
        ("PEXPIRETIME", _) => Expected::Is(int(item.map_or(-2, |item| item.expires.map_or(-1, |at| at as i64)))),
        ("GET" | "STRLEN" | "GETRANGE" | "SUBSTR", None | Some(Data::Text(_))) => of_text(name, data, rest),
        ("GET" | "STRLEN" | "GETRANGE" | "SUBSTR", _) => Expected::Error("WRONGTYPE"),
        (_, None | Some(Data::Hash(_))) if name.starts_with('H') => of_hash(name, data, rest),
        (_, None | Some(Data::List(_))) if name.starts_with('L') => of_list(name, data, rest),
        (_, None | Some(Data::Set(_))) if name.starts_with('S') => of_set(name, data, rest),
        (_, None | Some(Data::Zset(_))) if name.starts_with('Z') => of_zset(name, data, rest),
        _ => Expected::Error("WRONGTYPE"),
    }
}

fn of_text(name: &str, data: Option<&Data>, rest: &[&str]) -> Expected {
    let text = match data {
        Some(Data::Text(text)) => text,
        _ => "",
    };
    Expected::Is(match (name, rest) {
        ("GET", []) => data.map_or(Value::Null, |_| bulk(text)),
        ("STRLEN", []) => int(text.len() as i64),
        ("GETRANGE" | "SUBSTR", [start, end]) => bulk(slice(text.as_bytes(), number(start), number(end))),
        _ => panic!("nothing is known of {name} {rest:?}"),
    })
}

fn of_hash(name: &str, data: Option<&Data>, rest: &[&str]) -> Expected {
    let none = Default::default();
    let fields = match data {
        Some(Data::Hash(fields)) => fields,
        _ => &none,
    };
    let get = |field: &&str| fields.get(*field).map_or(Value::Null, bulk);
    Expected::Is(match (name, rest) {
        ("HGET", [field]) => get(field),
        ("HMGET", asked) => Value::Array(asked.iter().map(get).collect()),
        ("HLEN", []) => int(fields.len() as i64),
        ("HEXISTS", [field]) => int(fields.contains_key(*field).into()),
        ("HSTRLEN", [field]) => int(fields.get(*field).map_or(0, String::len) as i64),
        ("HGETALL", []) => return Expected::pairs_in_any_order(fields.iter()),
        ("HKEYS", []) => return Expected::in_any_order(fields.keys().cloned()),
        ("HVALS", []) => return Expected::in_any_order(fields.values().cloned()),
        ("HRANDFIELD", []) => return Expected::one_of(fields.keys().cloned()),
        _ => panic!("nothing is known of {name} {rest:?}"),
    })
}

fn of_list(name: &str, data: Option<&Data>, rest: &[&str]) -> Expected {
    let elements: &[String] = match data {
        Some(Data::List(elements)) => elements,
        _ => &[],
    };
    let at = |index: i64| match index {
        0.. => elements.get(index as usize),
        _ => elements.iter().rev().nth((-1 - index) as usize),
    };
    Expected::Is(match (name, rest) {
        ("LRANGE", [start, end]) => {
            Value::Array(slice(elements, number(start), number(end)).iter().map(bulk).collect())
        }
        ("LINDEX", [index]) => at(number(index)).map_or(Value::Null, bulk),
        ("LLEN", []) => int(elements.len() as i64),
        ("LPOS", [element]) => (elements.iter().position(|e| e == element)).map_or(Value::Null, |at| int(at as i64)),
        _ => panic!("nothing is known of {name} {rest:?}"),
    })
}

fn of_set(name: &str, data: Option<&Data>, rest: &[&str]) -> Expected {
    let none = Default::default();
    let members = match data {
        Some(Data::Set(members)) => members,
        _ => &none,
    };
    let is_member = |member: &&str| int(members.contains(*member).into());
    Expected::Is(match (name, rest) {
        ("SMEMBERS", []) => return Expected::in_any_order(members.iter().cloned()),
        ("SISMEMBER", [member]) => is_member(member),
        ("SMISMEMBER", asked) => Value::Array(asked.iter().map(is_member).collect()),
        ("SCARD", []) => int(members.len() as i64),
        ("SRANDMEMBER", []) => return Expected::one_of(members.iter().cloned()),
        _ => panic!("nothing is known of {name} {rest:?}"),
    })
}

fn of_sets(name: &str, items: &[Rc<Option<Item>>]) -> Expected {
    let mut sets = Vec::new();
    for item in items {
        match item.as_ref().as_ref().map(|item| &item.data) {
            Some(Data::Set(members)) => sets.push(members.clone()),
            None => sets.push(BTreeSet::new()),
            _ => return Expected::Error("WRONGTYPE"),
        }
    }
    let result = sets.into_iter().reduce(|a, b| match name {
        "SUNION" => &a | &b,
        "SDIFF" => &a - &b,
        _ => &a & &b,
    });
    let result = result.unwrap_or_default();
    match name {
        "SINTERCARD" => Expected::Is(int(result.len() as i64)),
        _ => Expected::in_any_order(result),
    }
}

fn of_zset(name: &str, data: Option<&Data>, rest: &[&str]) -> Expected {
    let none = Default::default();
    let members = match data {
        Some(Data::Zset(members)) => members,
        _ => &none,
    };
    let score = |member: &&str| {
        members
            .get(*member)
            .map_or(Value::Null, |score| bulk(score.to_string()))
    };
    let mut sorted: Vec<_> = members
        .iter()
        .map(|(member, score)| (*score, member.as_str()))
        .collect();
    sorted.sort_unstable();
    let rank = |sorted: &[(i64, &str)], member: &str| {
        let at = sorted.iter().position(|(_, m)| *m == member);
        at.map_or(Value::Null, |at| int(at as i64))
    };
    let within = |low: &str, high: &str| {
        let bound = |text: &str| match text {
            "-inf" => i64::MIN,
            "+inf" => i64::MAX,
            n => number(n),
        };
        let range = bound(low)..=bound(high);
        sorted
            .iter()
            .filter(move |(score, _)| range.contains(score))
            .copied()
            .collect::<Vec<_>>()
    };
    Expected::Is(match (name, rest) {
        ("ZSCORE", [member]) => score(member),
        ("ZMSCORE", asked) => Value::Array(asked.iter().map(score).collect()),
        ("ZCARD", []) => int(sorted.len() as i64),
        ("ZRANK", [member]) => rank(&sorted, member),
        ("ZREVRANK", [member]) => {
            sorted.reverse();
            rank(&sorted, member)
        }
        ("ZCOUNT", [low, high]) => int(within(low, high).len() as i64),
        ("ZRANGEBYSCORE", [low, high]) => listed(&within(low, high), false),
        ("ZRANGE", [start, end, options @ ..]) => {
            if options.contains(&"REV") {
                sorted.reverse();
            }
            listed(
                slice(&sorted, number(start), number(end)),
                options.contains(&"WITHSCORES"),
            )
        }
        _ => panic!("nothing is known of {name} {rest:?}"),
    })
}

fn of_sorted_sets(name: &str, items: &[Rc<Option<Item>>], with_scores: bool) -> Expected {
    let mut sets = Vec::new();
    for item in items {
        match item.as_ref().as_ref().map(|item| &item.data) {
            Some(Data::Zset(members)) => sets.push(members.clone()),
            // A set counts as one whose members all have the score 1.
            Some(Data::Set(members)) => sets.push(members.iter().map(|member| (member.clone(), 1)).collect()),
            None => sets.push(BTreeMap::new()),
            _ => return Expected::Error("WRONGTYPE"),
        }
    }
    let result = sets.into_iter().reduce(|mut a, b| {
        match name {
            "ZUNION" => b
                .into_iter()
                .for_each(|(member, score)| *a.entry(member).or_default() += score),
            "ZDIFF" => a.retain(|member, _| !b.contains_key(member)),
            _ => {
                a.retain(|member, _| b.contains_key(member));
                a.iter_mut().for_each(|(member, score)| *score += b[member]);
            }
        }
        a
    });
    let mut sorted: Vec<(i64, &str)> = Vec::new();
    let result = result.unwrap_or_default();
    sorted.extend(result.iter().map(|(member, score)| (*score, member.as_str())));
    sorted.sort_unstable();
    Expected::Is(match name {
        "ZINTERCARD" => int(sorted.len() as i64),
        _ => listed(&sorted, with_scores),
    })
}

fn listed(members: &[(i64, &str)], with_scores: bool) -> Value {
    let mut list = Vec::new();
    for (score, member) in members {
        list.push(bulk(member));
        if with_scores {
            list.push(bulk(score.to_string()));
        }
    }
    Value::Array(list)
}

/// From one index to another, both included, negative ones from the end.
fn slice<T>(all: &[T], start: i64, end: i64) -> &[T] {
    let count = all.len() as i64;
    let absolute = |index: i64| if index < 0 { count + index } else { index };
    let (start, end) = (absolute(start).max(0), absolute(end).min(count - 1));
    if start > end {
        &[]
    } else {
        &all[start as usize..=end as usize]
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
