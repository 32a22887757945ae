//! A store in a temporary directory to run commands against: evaluate, apply, read the reply.

use haypile_resp::{Reply, Request, Version};
use haypile_store::{Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::{Position, Random};

use crate::{CommandError, Cx, Deaf, Flags, Handler, table};

pub(crate) struct Bench {
    store: Store,
    overlay: Overlay,
    index: u64,
    pub(crate) now: u64,
    random: XorShift,
    /// Apply after each command; otherwise commands see each other through the overlay only.
    pub(crate) apply: bool,
    _dir: tempfile::TempDir,
}

pub(crate) struct XorShift(pub(crate) u64);

impl Random for XorShift {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = SharedResources::new(16 << 20, 4 << 20);
        let store = Store::open(dir.path(), StoreOptions::default(), shared).unwrap();
        Bench {
            store,
            overlay: Overlay::new(),
            index: 0,
            now: 1_000_000,
            random: XorShift(0x9E37_79B9_7F4A_7C15),
            apply: true,
            _dir: dir,
        }
    }

    /// Runs a command line (split at spaces) and gives the reply in RESP2, with `\r\n` shown as `|`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.run_args(&line.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn run_args(&mut self, args: &[impl AsRef<[u8]>]) -> String {
        let reply = self.raw(&Request::from_args(args));
        String::from_utf8_lossy(&reply).replace("\r\n", "|")
    }

    pub(crate) fn raw(&mut self, request: &Request) -> Vec<u8> {
        let mut reply = Reply::new(Version::Resp2);
        let spec = match table::resolve(request) {
            Ok(spec) => spec,
            Err(error) => {
                reply.error(&error.to_string());
                return reply.take();
            }
        };
        let Handler::Data(execute) = spec.handler else {
            panic!("{} is not a data command", spec.name)
        };
        let mut deaf = Deaf;
        if !spec.flags.has(Flags::WRITE) && self.overlay.is_empty() {
            let view = View::reading(&self.store, Tier::Disk, true);
            let outcome = execute(
                &mut Cx::new(view, &mut reply, &mut deaf, &mut self.random, 0, self.now),
                request,
            );
            finish(&mut reply, outcome);
            return reply.take();
        }
        if self.overlay.is_empty() {
            self.overlay.begin_turn();
        }
        self.overlay.begin_entry(self.index + 1);
        let savepoint = self.overlay.savepoint();
        let view = View::writing(&self.store, &mut self.overlay, Tier::Disk);
        let outcome = execute(
            &mut Cx::new(view, &mut reply, &mut deaf, &mut self.random, 0, self.now),
            request,
        );
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

    /// Applies what is pending.
    pub(crate) fn flush(&mut self) {
        if !self.overlay.is_empty() {
            self.store
                .apply_oldest(&mut self.overlay, Position::new(1, self.index), 0)
                .unwrap();
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
