//! What each command that the load uses does to the model, and what it answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::model::{Data, Expected, Item, Name, State};
use haypile_testkit::Value;

/// The outcome of a command; the error is one as well, and nothing has changed then.
type Outcome = Result<Expected, Expected>;

impl State {
    /// Carries out a command in the selected database, which SELECT changes.
    pub fn apply(&mut self, db: &mut u16, args: &[String]) -> Expected {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let outcome = match words[0] {
            "SELECT" => {
                *db = number(words[1]) as u16;
                Ok(Expected::ok())
            }
            "SET" | "MSET" | "GETDEL" | "APPEND" | "SETRANGE" | "INCRBY" => self.text_command(*db, &words),
            "PFADD" | "PFMERGE" => self.hll_command(*db, &words),
            "RPUSH" | "LPUSH" | "LPOP" | "RPOP" | "LREM" | "LTRIM" | "LSET" | "LINSERT" | "LMOVE" => {
                self.list_command(*db, &words)
            }
            "HSET" | "HDEL" | "HINCRBY" => self.hash_command(*db, &words),
            "SADD" | "SREM" | "SMOVE" | "SUNIONSTORE" | "SINTERSTORE" | "SDIFFSTORE" => self.set_command(*db, &words),
            "ZADD" | "ZINCRBY" | "ZREM" | "ZPOPMIN" | "ZREMRANGEBYRANK" | "ZUNIONSTORE" => {
                self.zset_command(*db, &words)
            }
            _ => self.key_command(*db, &words),
        };
        self.items.retain(|_, item| !item.is_empty());
        outcome.unwrap_or_else(|error| error)
    }

    fn text_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        match words {
            ["SET", key, _, "NX"] if self.get(db, key).is_some() => return Ok(Expected::maybe(None)),
            ["SET", key, _, "XX"] if self.get(db, key).is_none() => return Ok(Expected::maybe(None)),
            ["SET", key, value, options @ ..] => {
                let mut item = Item::new(Data::Text(value.to_string()));
                if let ["PXAT", at] = options {
                    item.expires = Some(number(at) as u64);
                }
                self.items.insert(name(db, key), item);
            }
            ["MSET", pairs @ ..] => {
                for pair in pairs.chunks(2) {
                    self.items
                        .insert(name(db, pair[0]), Item::new(Data::Text(pair[1].into())));
                }
            }
            ["GETDEL", key] => {
                let Some(item) = self.get(db, key) else {
                    return Ok(Expected::maybe(None));
                };
                let Data::Text(text) = &item.data else {
                    return Err(Expected::wrong_type());
                };
                let reply = Expected::bulk(text);
                self.items.remove(&name(db, key));
                return Ok(reply);
            }
            ["APPEND", key, more] => {
                let text = self.text(db, key)?;
                text.push_str(more);
                return Ok(Expected::int(text.len()));
            }
            ["SETRANGE", key, offset, part] => {
                let text = self.text(db, key)?;
                let (start, end) = (number(offset) as usize, number(offset) as usize + part.len());
                if text.len() < end {
                    text.extend(std::iter::repeat_n('\0', end - text.len()));
                }
                text.replace_range(start..end, part);
                return Ok(Expected::int(text.len()));
            }
            ["INCRBY", key, by] => {
                let missing = self.get(db, key).is_none();
                let text = self.text(db, key)?;
                let old = if missing { Some(0) } else { integer(text) };
                let sum = old
                    .and_then(|old| old.checked_add(number(by)))
                    .ok_or(Expected::Error("ERR "))?;
                *text = sum.to_string();
                return Ok(Expected::int(sum));
            }
            other => panic!("no model for {other:?}"),
        }
        Ok(Expected::ok())
    }

    fn hll_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        match words {
            ["PFADD", key, elements @ ..] => {
                let new = self.get(db, key).is_none();
                let hll = self.hll(db, key)?;
                let before = hll.len();
                hll.extend(elements.iter().map(|e| e.to_string()));
                Ok(Expected::int(i64::from(new || hll.len() > before)))
            }
            ["PFMERGE", to, from @ ..] => {
                let mut union = BTreeSet::new();
                for key in std::iter::once(to).chain(from) {
                    if self.get(db, key).is_some() {
                        union.append(&mut self.hll(db, key)?.clone());
                    }
                }
                *self.hll(db, to)? = union;
                Ok(Expected::ok())
            }
            other => panic!("no model for {other:?}"),
        }
    }

    fn list_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        if let ["LMOVE", from, to, ..] = words {
            if self.list(db, from)?.is_empty() {
                return Ok(Expected::maybe(None));
            }
            self.list(db, to)?;
            let moved = self.list(db, from)?.pop_front();
            self.list(db, to)?.extend(moved.clone());
            return Ok(Expected::maybe(moved));
        }
        let list = self.list(db, words[1])?;
        match words {
            ["RPUSH", _, values @ ..] => list.extend(values.iter().map(|v| v.to_string())),
            ["LPUSH", _, values @ ..] => values.iter().for_each(|v| list.push_front(v.to_string())),
            ["LPOP", _] => return Ok(Expected::maybe(list.pop_front())),
            ["RPOP", _] => return Ok(Expected::maybe(list.pop_back())),
            ["LREM", _, "0", value] => {
                let before = list.len();
                list.retain(|v| v != value);
                return Ok(Expected::int(before - list.len()));
            }
            ["LTRIM", _, start, stop] => {
                let kept = range(start, stop, list.len());
                *list = list.drain(kept).collect();
                return Ok(Expected::ok());
            }
            ["LSET", _, index, value] => {
                let element = list.get_mut(number(index) as usize);
                *element.ok_or(Expected::Error("ERR "))? = value.to_string();
                return Ok(Expected::ok());
            }
            ["LINSERT", _, "BEFORE", pivot, value] => {
                if list.is_empty() {
                    return Ok(Expected::int(0));
                }
                let Some(at) = list.iter().position(|v| v == pivot) else {
                    return Ok(Expected::int(-1));
                };
                list.insert(at, value.to_string());
            }
            other => panic!("no model for {other:?}"),
        }
        Ok(Expected::int(list.len()))
    }

    fn hash_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        let hash = self.hash(db, words[1])?;
        let before = hash.len();
        match words {
            ["HSET", _, pairs @ ..] => {
                hash.extend(pairs.chunks(2).map(|pair| (pair[0].to_string(), pair[1].to_string())));
            }
            ["HDEL", _, fields @ ..] => {
                for field in fields {
                    hash.remove(*field);
                }
            }
            ["HINCRBY", _, field, by] => {
                let old = hash.get(*field).map_or(Some(0), |value| integer(value));
                let sum = old
                    .and_then(|old| old.checked_add(number(by)))
                    .ok_or(Expected::Error("ERR "))?;
                hash.insert(field.to_string(), sum.to_string());
                return Ok(Expected::int(sum));
            }
            other => panic!("no model for {other:?}"),
        }
        Ok(Expected::int(hash.len().abs_diff(before)))
    }

    fn set_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        if let ["SMOVE", from, to, member] = words {
            if self.set(db, from)?.is_empty() {
                return Ok(Expected::int(0));
            }
            self.set(db, to)?;
            let moved = self.set(db, from)?.remove(*member);
            if moved {
                self.set(db, to)?.insert(member.to_string());
            }
            return Ok(Expected::int(i64::from(moved)));
        }
        if let [combine @ ("SUNIONSTORE" | "SINTERSTORE" | "SDIFFSTORE"), to, a, b] = words {
            let (a, b) = (self.set(db, a)?.clone(), self.set(db, b)?.clone());
            let result: BTreeSet<String> = match *combine {
                "SUNIONSTORE" => a.union(&b).cloned().collect(),
                "SINTERSTORE" => a.intersection(&b).cloned().collect(),
                _ => a.difference(&b).cloned().collect(),
            };
            let size = result.len();
            self.items.insert(name(db, to), Item::new(Data::Set(result)));
            return Ok(Expected::int(size));
        }
        let set = self.set(db, words[1])?;
        let before = set.len();
        match words {
            ["SADD", _, members @ ..] => set.extend(members.iter().map(|m| m.to_string())),
            ["SREM", _, members @ ..] => {
                for member in members {
                    set.remove(*member);
                }
            }
            other => panic!("no model for {other:?}"),
        }
        Ok(Expected::int(set.len().abs_diff(before)))
    }

    fn zset_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        if let ["ZUNIONSTORE", to, "2", a, b] = words {
            let mut union = self.zset(db, a)?.clone();
            for (member, score) in self.zset(db, b)?.clone() {
                *union.entry(member).or_default() += score;
            }
            let size = union.len();
            self.items.insert(name(db, to), Item::new(Data::Zset(union)));
            return Ok(Expected::int(size));
        }
        let zset = self.zset(db, words[1])?;
        let before = zset.len();
        match words {
            ["ZADD", _, pairs @ ..] => {
                zset.extend(pairs.chunks(2).map(|pair| (pair[1].to_string(), number(pair[0]))));
            }
            ["ZREM", _, members @ ..] => {
                for member in members {
                    zset.remove(*member);
                }
            }
            ["ZINCRBY", _, by, member] => {
                let score = zset.entry(member.to_string()).or_default();
                *score += number(by);
                return Ok(Expected::bulk(score.to_string()));
            }
            ["ZPOPMIN", _] => {
                let Some((member, score)) = in_order(zset).into_iter().next() else {
                    return Ok(Expected::All(vec![]));
                };
                zset.remove(&member);
                return Ok(Expected::All(vec![
                    Expected::bulk(member),
                    Expected::bulk(score.to_string()),
                ]));
            }
            ["ZREMRANGEBYRANK", _, start, stop] => {
                for (member, _) in &in_order(zset)[range(start, stop, before)] {
                    zset.remove(member);
                }
            }
            other => panic!("no model for {other:?}"),
        }
        Ok(Expected::int(zset.len().abs_diff(before)))
    }

    fn key_command(&mut self, db: u16, words: &[&str]) -> Outcome {
        match words {
            ["DEL" | "UNLINK", keys @ ..] => {
                let gone: Vec<Item> = keys
                    .iter()
                    .filter_map(|key| self.items.remove(&name(db, key)))
                    .collect();
                if gone.iter().any(|item| item.expires.is_some()) {
                    return Ok(Expected::Anything);
                }
                Ok(Expected::int(gone.len()))
            }
            ["RENAME", from, to] => {
                let item = self
                    .items
                    .remove(&name(db, from))
                    .ok_or(Expected::Error("ERR no such key"))?;
                self.items.insert(name(db, to), item);
                Ok(Expected::ok())
            }
            ["COPY", from, to, "DB", to_db, options @ ..] => {
                let to = name(number(to_db) as u16, to);
                if name(db, from) == to {
                    return Err(Expected::Error("ERR "));
                }
                let taken = self.items.contains_key(&to) && options.is_empty();
                let Some(item) = self.get(db, from).filter(|_| !taken).cloned() else {
                    return Ok(Expected::int(0));
                };
                self.items.insert(to, item);
                Ok(Expected::int(1))
            }
            ["MOVE", key, to_db] => {
                let to = name(number(to_db) as u16, key);
                if to.0 == db {
                    return Err(Expected::Error("ERR "));
                }
                if self.items.contains_key(&to) {
                    return Ok(Expected::int(0));
                }
                let Some(item) = self.items.remove(&name(db, key)) else {
                    return Ok(Expected::int(0));
                };
                self.items.insert(to, item);
                Ok(Expected::int(1))
            }
            ["PEXPIREAT", key, at] => Ok(Expected::int(match self.items.get_mut(&name(db, key)) {
                None => 0,
                Some(item) => {
                    item.expires = Some(number(at) as u64);
                    1
                }
            })),
            ["PERSIST", key] => {
                let item = self.items.get_mut(&name(db, key));
                Ok(Expected::int(i64::from(
                    item.is_some_and(|item| item.expires.take().is_some()),
                )))
            }
            ["FLUSHDB"] => {
                self.items.retain(|(of, _), _| *of != db);
                Ok(Expected::ok())
            }
            ["SWAPDB", a, b] => {
                let (a, b) = (number(a) as u16, number(b) as u16);
                let swapped = |db| match db {
                    _ if db == a => b,
                    _ if db == b => a,
                    _ => db,
                };
                self.items = std::mem::take(&mut self.items)
                    .into_iter()
                    .map(|((db, key), item)| ((swapped(db), key), item))
                    .collect();
                Ok(Expected::ok())
            }
            other => panic!("no model for {other:?}"),
        }
    }
}

/// Access to a value of one type: an empty one is made if the key is missing, and goes again when the command is over.
macro_rules! access {
    ($function:ident, $variant:ident, $type:ty) => {
        impl State {
            fn $function(&mut self, db: u16, key: &str) -> Result<&mut $type, Expected> {
                let made = || Item::new(Data::$variant(Default::default()));
                match &mut self.items.entry(name(db, key)).or_insert_with(made).data {
                    Data::$variant(value) => Ok(value),
                    _ => Err(Expected::wrong_type()),
                }
            }
        }
    };
}

access!(text, Text, String);
access!(hll, Hll, BTreeSet<String>);
access!(list, List, VecDeque<String>);
access!(hash, Hash, BTreeMap<String, String>);
access!(set, Set, BTreeSet<String>);
access!(zset, Zset, BTreeMap<String, i64>);

impl Item {
    fn is_empty(&self) -> bool {
        match &self.data {
            Data::Text(_) | Data::Hll(_) => false,
            Data::List(list) => list.is_empty(),
            Data::Hash(hash) => hash.is_empty(),
            Data::Set(set) => set.is_empty(),
            Data::Zset(zset) => zset.is_empty(),
        }
    }
}

/// Members by score, and by name where scores are equal.
pub fn in_order(zset: &BTreeMap<String, i64>) -> Vec<(String, i64)> {
    let mut members: Vec<_> = zset.iter().map(|(member, score)| (member.clone(), *score)).collect();
    members.sort_by_key(|(_, score)| *score);
    members
}

fn name(db: u16, key: &str) -> Name {
    (db, key.to_owned())
}

/// A number that the load itself has written into a command.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// A value as INCRBY takes it.
fn integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|n| n.to_string() == text)
}

/// A range of indexes as Redis writes it: the last is included, and a negative one counts from the end.
fn range(start: &str, stop: &str, len: usize) -> std::ops::Range<usize> {
    let at = |text| match number(text) {
        n if n < 0 => (len as i64 + n).max(-1),
        n => n,
    };
    let end = (at(stop) + 1).clamp(0, len as i64) as usize;
    let start = at(start).clamp(0, end as i64) as usize;
    start..end
}

/// For replies that are lists of texts.
pub fn texts(reply: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| Some(String::from_utf8_lossy(value.as_bytes()?).into_owned());
    reply.as_elements()?.iter().map(text).collect()
}
