//! A connection that sends units at one go and takes their replies one by one.

use std::collections::VecDeque;

use super::scenario::Unit;
use haypile_testkit::{Client, Value, encode, ok, text};

/// A connection to a server.
pub struct Connection {
    client: Client,
    /// The database that is selected after all that was added.
    db: u16,
    /// Added and not sent.
    bytes: Vec<u8>,
    /// For each unit that was added and not answered, what comes before its own reply.
    preludes: VecDeque<Vec<Value>>,
}

impl Connection {
    /// Connects to this port.
    pub fn open(port: u16) -> Connection {
        Connection {
            client: Client::connect(port),
            db: 0,
            bytes: Vec::new(),
            preludes: VecDeque::new(),
        }
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a unit to what is sent next.
    pub fn add(&mut self, unit: &Unit) {
        let mut prelude = Vec::new();
        if unit.db != self.db {
            encode(&mut self.bytes, &["SELECT", &unit.db.to_string()]);
            self.db = unit.db;
            prelude.push(ok());
        }
        if unit.transaction {
            encode(&mut self.bytes, &["MULTI"]);
            prelude.push(ok());
        }
        for command in &unit.commands {
            encode(&mut self.bytes, command);
            if unit.transaction {
                prelude.push(Value::Simple("QUEUED".into()));
            }
            if let [name, db] = &command[..]
                && name == "SELECT"
            {
                self.db = db.parse().expect("a database");
            }
        }
        if unit.transaction {
            encode(&mut self.bytes, &["EXEC"]);
        }
        self.preludes.push_back(prelude);
    }

    /// Sends what was added.
    pub fn send(&mut self) {
        self.client.send_raw(&self.bytes);
        self.bytes.clear();
    }

    /// The reply to the first unit that has none yet; of a transaction that of EXEC.
    pub fn reply(&mut self) -> Value {
        for expected in self.preludes.pop_front().expect("a unit") {
            let given = self.client.recv();
            assert_eq!(given, expected, "before the reply itself");
        }
        self.client.recv()
    }

    /// Carries out one unit.
    pub fn run(&mut self, unit: &Unit) -> Value {
        self.add(unit);
        self.send();
        self.reply()
    }

    /// Carries out a unit that changes something.
    ///
    /// # Panics
    /// When it is refused, or a part of it.
    pub fn change(&mut self, unit: &Unit) {
        let reply = self.run(unit);
        assert_done(unit, &reply);
    }
}

/// Checks that a unit was carried out, which every step of a scenario can be.
pub fn assert_done(unit: &Unit, reply: &Value) {
    let refused = |value: &Value| matches!(value, Value::Error(_) | Value::Null);
    let inside = reply.as_elements().is_some_and(|replies| replies.iter().any(refused));
    assert!(!refused(reply) && !inside, "{unit:?} was answered with {}", text(reply));
}
