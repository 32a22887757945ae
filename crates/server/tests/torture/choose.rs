//! Which command comes next.

use super::batch;
use super::model::{Data, Expected, State};
use haypile_testkit::Rng;

/// Keys of each connection in each database.
const KEYS: u64 = 10;
/// Different elements of collections.
const ELEMENTS: u64 = 40;
/// Elements of HyperLogLogs: few enough that estimates are exact.
pub const HLL_ELEMENTS: u64 = 30;
/// Collections that have more are cut down.
const SIZE_MAX: usize = 60;
/// Strings that have more are replaced, bytes.
const TEXT_MAX: usize = 4000;
/// Expiry that a run does not see the end of, milliseconds.
const LONG_MS: u64 = 30 * 24 * 3_600_000;
/// Expiry that it does.
const SHORT_MS: u64 = 900;

/// What is sent at once and counts wholly or not at all: a command or a transaction.
#[derive(Clone, Debug)]
pub struct Step {
    pub commands: Vec<Vec<String>>,
    pub transaction: bool,
    /// Of the command, or of EXEC.
    pub expected: Expected,
}

/// The commands of one connection, which has two databases of its own, and keys of its own in database 0.
pub struct Chooser {
    worker: usize,
    rng: Rng,
    batches: u64,
    values: u64,
}

impl Chooser {
    pub fn new(worker: usize, rng: Rng) -> Chooser {
        Chooser {
            worker,
            rng,
            batches: 0,
            values: 0,
        }
    }

    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The databases that the connection uses.
    pub fn dbs(worker: usize) -> [u16; 3] {
        [0, 1 + 2 * worker as u16, 2 + 2 * worker as u16]
    }

    /// Chooses what comes next when the keys are as `state` says, and changes `state` and the selected database
    /// accordingly.
    pub fn next(&mut self, state: &mut State, db: &mut u16, now_ms: u64) -> Step {
        let commands = match self.rng.below(100) {
            0..6 if *db == 0 => self.batch(*db),
            0..14 => vec![Vec::new(); self.rng.between(1, 6) as usize],
            _ => {
                let command = self.command(state, *db, now_ms);
                let expected = state.apply(db, &command);
                return Step {
                    commands: vec![command],
                    transaction: false,
                    expected,
                };
            }
        };
        let mut step = Step {
            commands,
            transaction: true,
            expected: Expected::Anything,
        };
        let mut expected = Vec::new();
        for command in &mut step.commands {
            if command.is_empty() {
                *command = self.command(state, *db, now_ms);
            }
            expected.push(state.apply(db, command));
        }
        step.expected = Expected::All(expected);
        step
    }

    fn batch(&mut self, db: u16) -> Vec<Vec<String>> {
        self.batches += 1;
        let other_db = Self::dbs(self.worker)[self.rng.between(1, 2) as usize];
        batch::commands(self.worker, self.batches, db, other_db)
    }

    fn command(&mut self, state: &State, db: u16, now_ms: u64) -> Vec<String> {
        let [_, a, b] = Self::dbs(self.worker);
        match self.rng.below(400) {
            0..16 => return line("SELECT", [self.db().to_string()]),
            16..18 if db != 0 => return line("FLUSHDB", []),
            18..20 => return line("SWAPDB", [a.to_string(), b.to_string()]),
            _ => {}
        }
        let key = self.key();
        if state.is_mortal(db, &key, now_ms) {
            return match self.rng.below(3) {
                0 => line("DEL", [key]),
                1 => line("SET", [key, self.value()]),
                _ => line("SET", [key, self.value(), "PXAT".into(), self.soon(now_ms)]),
            };
        }
        let data = state.get(db, &key).map(|item| &item.data);
        // A partner that certainly is what the model says.
        let partner = Some(self.key())
            .filter(|p| !state.is_mortal(db, p, now_ms))
            .unwrap_or_else(|| key.clone());
        let kind = match (self.rng.below(20), data) {
            (0..4, Some(_)) => 6,
            (0, None) => 6,
            (4, Some(Data::Hll(_))) => self.rng.between(1, 5),
            (4, _) | (_, None) => self.rng.below(6),
            (_, Some(Data::Text(_))) => 0,
            (_, Some(Data::Hll(_))) => 1,
            (_, Some(Data::List(_))) => 2,
            (_, Some(Data::Hash(_))) => 3,
            (_, Some(Data::Set(_))) => 4,
            (_, Some(Data::Zset(_))) => 5,
        };
        match kind {
            0 => self.text_command(key, data, now_ms),
            1 => self.hll_command(key, partner),
            2 => self.list_command(key, partner, data),
            3 => self.hash_command(key),
            4 => self.set_command(key, partner),
            5 => self.zset_command(key, partner, state, db),
            _ => self.key_command(key, state, now_ms),
        }
    }

    fn text_command(&mut self, key: String, data: Option<&Data>, now_ms: u64) -> Vec<String> {
        let value = self.value();
        match self.rng.below(24) {
            _ if matches!(data, Some(Data::Text(text)) if text.len() > TEXT_MAX) => line("SET", [key, value]),
            0..3 => line("SET", [key, value]),
            3 => line("SET", [key, "x".repeat(self.rng.between(1, 60_000) as usize)]),
            4 => line("SET", [key, value, "NX".into()]),
            5 => line("SET", [key, value, "XX".into()]),
            6 => line("SET", [key, value, "PXAT".into(), self.soon(now_ms)]),
            7 => line("SET", [key, value, "PXAT".into(), (now_ms + LONG_MS).to_string()]),
            8 => line("GETDEL", [key]),
            9 => line("SETRANGE", [key, self.rng.below(200).to_string(), value]),
            10..12 => line("MSET", [key, value, self.key(), self.value()]),
            12..17 => line("APPEND", [key, value]),
            _ => line("INCRBY", [key, (self.rng.below(2000) as i64 - 1000).to_string()]),
        }
    }

    fn hll_command(&mut self, key: String, partner: String) -> Vec<String> {
        match self.rng.below(4) {
            0 => line("PFMERGE", [key, partner]),
            _ => {
                let mut words = vec![key];
                words.extend((0..self.rng.between(1, 3)).map(|_| format!("h{}", self.rng.below(HLL_ELEMENTS))));
                line("PFADD", words)
            }
        }
    }

    fn list_command(&mut self, key: String, partner: String, data: Option<&Data>) -> Vec<String> {
        let size = if let Some(Data::List(list)) = data {
            list.len()
        } else {
            0
        };
        match self.rng.below(16) {
            _ if size > SIZE_MAX => line("LTRIM", [key, self.rng.below(30).to_string(), "-10".into()]),
            0..4 => line("RPUSH", [key, self.element(), self.element(), self.value()]),
            4..6 => line("LPUSH", [key, self.element(), self.element()]),
            6 => line("LPOP", [key]),
            7 => line("RPOP", [key]),
            8 => line("LREM", [key, "0".into(), self.element()]),
            9 => line("LTRIM", [key, self.rng.below(4).to_string(), "-2".into()]),
            10..12 => line("LSET", [key, self.rng.below(10).to_string(), self.element()]),
            12..14 => line("LINSERT", [key, "BEFORE".into(), self.element(), self.element()]),
            _ => line("LMOVE", [key, partner, "LEFT".into(), "RIGHT".into()]),
        }
    }

    fn hash_command(&mut self, key: String) -> Vec<String> {
        match self.rng.below(8) {
            0..4 => line(
                "HSET",
                [key, self.element(), self.value(), self.element(), self.value()],
            ),
            4..6 => line("HDEL", [key, self.element(), self.element()]),
            _ => line("HINCRBY", [key, self.element(), self.rng.below(100).to_string()]),
        }
    }

    fn set_command(&mut self, key: String, partner: String) -> Vec<String> {
        match self.rng.below(12) {
            0..5 => line("SADD", [key, self.element(), self.element(), self.element()]),
            5..7 => line("SREM", [key, self.element(), self.element()]),
            7..9 => line("SMOVE", [key, partner, self.element()]),
            9 => line("SUNIONSTORE", [self.key(), key, partner]),
            10 => line("SINTERSTORE", [self.key(), key, partner]),
            _ => line("SDIFFSTORE", [self.key(), key, partner]),
        }
    }

    fn zset_command(&mut self, key: String, partner: String, state: &State, db: u16) -> Vec<String> {
        let score = (self.rng.below(200) as i64 - 100).to_string();
        // Sets may take part in unions, and scores that were added up too often lose digits: neither is modelled.
        let simple = |key| match state.get(db, key).map(|item| &item.data) {
            Some(Data::Zset(zset)) => zset.values().all(|score| score.abs() < 1_000_000),
            Some(Data::Set(_)) => false,
            _ => true,
        };
        match self.rng.below(14) {
            0..5 => line(
                "ZADD",
                [
                    key,
                    score,
                    self.element(),
                    self.rng.below(10).to_string(),
                    self.element(),
                ],
            ),
            5..7 => line("ZINCRBY", [key, score, self.element()]),
            7..9 => line("ZREM", [key, self.element(), self.element()]),
            9..11 => line("ZPOPMIN", [key]),
            11 => line("ZREMRANGEBYRANK", [key, self.rng.below(3).to_string(), "2".into()]),
            _ if simple(&key) && simple(&partner) => line("ZUNIONSTORE", [self.key(), "2".into(), key, partner]),
            _ => line("DEL", [key]),
        }
    }

    fn key_command(&mut self, key: String, state: &State, now_ms: u64) -> Vec<String> {
        let (other, to_db) = (self.key(), self.db());
        match self.rng.below(16) {
            0..2 => line("DEL", [key]),
            2 => line("UNLINK", [key, other]),
            3..6 => line("RENAME", [key, other]),
            6..10 if state.is_mortal(to_db, &other, now_ms) || self.rng.one_in(2) => {
                line("COPY", [key, other, "DB".into(), to_db.to_string(), "REPLACE".into()])
            }
            6..10 => line("COPY", [key, other, "DB".into(), to_db.to_string()]),
            10..13 if !state.is_mortal(to_db, &key, now_ms) => line("MOVE", [key, to_db.to_string()]),
            13 => line("PEXPIREAT", [key, self.soon(now_ms)]),
            14 => line("PEXPIREAT", [key, (now_ms + LONG_MS).to_string()]),
            _ => line("PERSIST", [key]),
        }
    }

    fn key(&mut self) -> String {
        format!("w{}:{}", self.worker, self.rng.below(KEYS))
    }

    fn db(&mut self) -> u16 {
        *self.rng.pick(&Self::dbs(self.worker))
    }

    fn element(&mut self) -> String {
        format!("e{}", self.rng.below(ELEMENTS))
    }

    /// A value that has not been there before, or a number.
    fn value(&mut self) -> String {
        self.values += 1;
        match self.rng.below(3) {
            0 => self.rng.below(1000).to_string(),
            _ => format!("v{}{}", self.values, "-".repeat(self.rng.below(40) as usize)),
        }
    }

    /// A time at which a key expires while it is looked at.
    fn soon(&mut self, now_ms: u64) -> String {
        (now_ms + self.rng.between(1, SHORT_MS)).to_string()
    }
}

fn line(command: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(command.to_owned()).chain(arguments).collect()
}
