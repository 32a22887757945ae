//! A store in a temporary directory to run commands against: evaluate, apply, read the reply.

use haypile_resp::{Reply, Request, Version};
use haypile_store::{Overlay, Reading, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::{Position, XorShift};

use crate::{CommandError, Cx, Flags, Handler, KeyEvent, Observer, PackedLimits, table};

pub(crate) struct Bench {
    store: Store,
    overlay: Overlay,
    index: u64,
    pub(crate) now: u64,
    random: XorShift,
    /// Apply after each command; otherwise commands see each other through the overlay only.
    pub(crate) apply: bool,
    /// Protocol of the replies.
    pub(crate) version: Version,
    /// What [`Cx::may_block`] is.
    pub(crate) may_block: bool,
    /// The database that commands run in.
    pub(crate) db: u16,
    /// How far commands that only read may go.
    pub(crate) tier: Tier,
    /// Up to where collections are packed.
    pub(crate) limits: PackedLimits,
    /// What the last command told its observer: `event key`, `ready key`; in a database other than 0 `event key @db`.
    pub(crate) heard: Vec<String>,
    _dir: tempfile::TempDir,
}

struct Recorder<'a>(&'a mut Vec<String>);

impl Observer for Recorder<'_> {
    fn modified(&mut self, _: u16, _: &[u8]) {}
    fn event(&mut self, event: KeyEvent, db: u16, key: &[u8]) {
        self.0.push(heard(event.name(), db, key));
    }
    fn ready(&mut self, db: u16, key: &[u8]) {
        self.0.push(heard("ready", db, key));
    }
    fn looked_up(&mut self, _: bool) {}
    fn expired(&mut self, _: u16, _: &[u8]) {}
    fn watched(&self, _: u16) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn emptied(&mut self, _: u16) {}
    fn replaced(&mut self, _: u16) {}
}

fn heard(what: &str, db: u16, key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    match db {
        0 => format!("{what} {key}"),
        _ => format!("{what} {key} @{db}"),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_memory(16 << 20, 4 << 20)
    }

    /// With a store that has this much memory, and of it this much for write buffers, bytes.
    pub(crate) fn with_memory(budget_bytes: usize, write_buffer_bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedResources::new(budget_bytes, write_buffer_bytes);
        let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
        Bench {
            store,
            overlay: Overlay::new(),
            index: 0,
            now: 1_000_000,
            random: XorShift(0x9E37_79B9_7F4A_7C15),
            apply: true,
            version: Version::Resp2,
            may_block: true,
            db: 0,
            tier: Tier::Disk,
            limits: PackedLimits::default(),
            heard: Vec::new(),
            _dir: dir,
        }
    }

    /// Has random numbers begin anew from a seed.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.random = XorShift(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    }

    /// Runs a command line (split at spaces) and gives the reply in RESP2, with `\r\n` shown as `|`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.run_args(&line.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Lets `body` look at the newest state.
    pub(crate) fn read(&self, body: impl FnOnce(&Reading<'_>)) {
        body(&self.store.read());
    }

    /// Adds the numbers below `n` to a set.
    pub(crate) fn fill_set(&mut self, key: &str, n: usize) {
        let numbers: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let args: Vec<&str> = ["sadd", key]
            .into_iter()
            .chain(numbers.iter().map(String::as_str))
            .collect();
        self.run_args(&args);
    }

    pub(crate) fn run_args(&mut self, args: &[impl AsRef<[u8]>]) -> String {
        let reply = self.raw(&Request::from_args(args));
        String::from_utf8_lossy(&reply).replace("\r\n", "|")
    }

    pub(crate) fn raw(&mut self, request: &Request) -> Vec<u8> {
        let mut reply = Reply::new(self.version);
        let spec = match table::resolve(request) {
            Ok(known) => known.spec,
            Err(error) => {
                reply.error(&error.to_string());
                return reply.take();
            }
        };
        let Handler::Data(execute) = spec.handler else {
            panic!("{} is not a data command", spec.name)
        };
        self.heard.clear();
        let mut observer = Recorder(&mut self.heard);
        let writes = spec.flags.has(Flags::WRITE) || spec.flags.has(Flags::MAY_REPLICATE);
        if !writes && self.overlay.is_empty() {
            let reading = self.store.read();
            let view = View::reading(&reading, self.tier);
            let mut cx = Cx::new(view, &mut reply, &mut observer, &mut self.random, self.db, self.now);
            cx.packed_limits = self.limits;
            let outcome = execute(&mut cx, request);
            finish(&mut reply, outcome);
            return reply.take();
        }
        if self.overlay.is_empty() {
            self.overlay.begin_turn();
        }
        self.overlay.begin_entry(self.index + 1);
        let savepoint = self.overlay.savepoint();
        let reading = self.store.read();
        let view = View::writing(&reading, &mut self.overlay, Tier::Disk);
        let mut cx = Cx::new(view, &mut reply, &mut observer, &mut self.random, self.db, self.now);
        cx.may_block = self.may_block;
        cx.packed_limits = self.limits;
        let outcome = execute(&mut cx, request);
        if outcome.is_err() {
            self.overlay.rollback(savepoint);
        }
        if self.overlay.end_entry().is_some() {
            self.index += 1;
        }
        finish(&mut reply, outcome);
        if self.apply {
            self.flush();
        }
        reply.take()
    }

    /// The payloads of the entries that are not applied yet.
    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.overlay
            .newest_entries()
            .map(|(_, payload)| payload.to_vec())
            .collect()
    }

    /// The digest of all that there is.
    pub(crate) fn digest(&mut self) -> crate::key::digest::Digest {
        self.write(|cx| crate::key::digest::everything(&mut cx.view).unwrap())
    }

    /// Runs code that writes, as one entry: for what no command does, such as expiring keys in the background.
    pub(crate) fn write<T>(&mut self, run: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let mut reply = Reply::new(self.version);
        self.heard.clear();
        if self.overlay.is_empty() {
            self.overlay.begin_turn();
        }
        self.overlay.begin_entry(self.index + 1);
        let reading = self.store.read();
        let view = View::writing(&reading, &mut self.overlay, Tier::Disk);
        let mut observer = Recorder(&mut self.heard);
        let mut cx = Cx::new(view, &mut reply, &mut observer, &mut self.random, self.db, self.now);
        cx.packed_limits = self.limits;
        let done = run(&mut cx);
        if self.overlay.end_entry().is_some() {
            self.index += 1;
        }
        if self.apply {
            self.flush();
        }
        done
    }

    /// Writes what has been applied to RocksDB.
    pub(crate) fn settle(&self) {
        self.store.settle().unwrap();
    }

    /// Brings what has been applied from the memtables to the lowest level.
    pub(crate) fn compact(&self) {
        self.store.compact().unwrap();
    }

    /// The same beside somebody who reads the state of before, and goes when what is compacted is on disk.
    pub(crate) fn compact_beside_a_reader(&self) {
        let store = &self.store;
        let (enters, entered) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let reading = store.read();
                enters.send(()).unwrap();
                while store.persisted().unwrap() < store.applied() {
                    std::thread::yield_now();
                }
                drop(reading);
            });
            entered.recv().unwrap();
            store.compact().unwrap();
        });
    }

    /// Applies what is pending.
    pub(crate) fn flush(&mut self) {
        if !self.overlay.is_empty() {
            self.store
                .apply_oldest(&mut self.overlay, Position::new(1, self.index), 0);
        }
    }
}

fn finish(reply: &mut Reply, outcome: Result<(), CommandError>) {
    match outcome {
        Ok(()) => {}
        Err(CommandError::Block(block)) => {
            reply.clear();
            reply.simple(&format!("BLOCK {:?}", block.timeout_ms));
        }
        Err(error) => {
            reply.clear();
            reply.error(&error.to_string());
        }
    }
}

#[test]
fn get_of_a_missing_key_is_null() {
    assert_eq!(Bench::new().run("get nothing"), "$-1|");
    assert_eq!(
        Bench::new().run("get"),
        "-ERR wrong number of arguments for 'get' command|"
    );
    assert_eq!(
        Bench::new().run("nonsense a"),
        "-ERR unknown command 'nonsense', with args beginning with: 'a' |"
    );
}
