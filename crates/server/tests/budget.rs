//! `memory-budget`: what the process has resident stays within it, whatever its clients do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ops::Range;

use haypile_testkit::{Client, Server, encode, wait_until};

const MB: u64 = 1 << 20;

/// What a server is given here.
const BUDGET: &str = "96mb";
const BUDGET_BYTES: u64 = 96 * MB;
/// What may be resident beyond it for a moment: the budget is kept by looking, and much can come between two looks where others keep the
/// processors busy. Without looking it is passed by half and more.
const PASSING_BYTES: u64 = BUDGET_BYTES / 4;
/// Bytes of what one command needs while it is evaluated, for each byte of its arguments: itself in the connection's buffer, its effects,
/// the log's copy, its rows, and room to grow for each.
const COMMAND_TIMES: u64 = 8;

/// A server with more threads, which waits for the disk: entries wait for their sync there, those of several connections at once.
const THREADED: [&str; 4] = ["--io-threads", "4", "--sync", "always"];

/// A server whose memory is watched.
struct Watched {
    server: Server,
    /// The system lets the peak be measured anew.
    resets: bool,
}

impl Watched {
    fn start(args: &[&str]) -> Watched {
        let mut all = vec!["--memory-budget", BUDGET];
        all.extend_from_slice(args);
        let server = Server::start(&all);
        let mut watched = Watched { server, resets: false };
        watched.reset_peak();
        watched
    }

    /// Begins to measure the peak anew.
    fn reset_peak(&mut self) {
        const RESET_PEAK: &str = "5";
        self.resets = std::fs::write(format!("/proc/{}/clear_refs", self.server.pid()), RESET_PEAK).is_ok();
    }

    fn status(&self, label: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(label)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Does something, after which the memory is within the budget, and during which it was, but for what one of its
    /// commands needs.
    #[track_caller]
    fn stays_within(&mut self, what: &str, command_bytes: u64, act: impl FnOnce(&mut Client)) {
        self.reset_peak();
        act(&mut self.server.client());
        let allowed = BUDGET_BYTES + PASSING_BYTES + command_bytes * COMMAND_TIMES;
        self.assert_peak(what, allowed);
        self.comes_back(what);
    }

    #[track_caller]
    fn assert_peak(&self, what: &str, allowed: u64) {
        let peak = match self.resets {
            true => self.status("VmHWM:"),
            false => self.status("VmRSS:"),
        };
        println!("{what}: {} MiB at most", peak / MB);
        assert!(
            peak <= allowed,
            "{what}: {} MiB were resident, and {} may be",
            peak / MB,
            allowed / MB
        );
    }

    fn comes_back(&self, what: &str) {
        wait_until(&format!("{what}: memory within the budget"), || {
            self.status("VmRSS:") <= BUDGET_BYTES
        });
    }
}

/// Bytes that nobody can compress, the same for the same numbers.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut out: Vec<u8> = std::iter::repeat_with(&mut next)
        .take(bytes.div_ceil(8))
        .flatten()
        .collect();
    out.truncate(bytes);
    out
}

/// Sends commands in pipelines of about 256 KiB and hears all replies.
fn pipeline(client: &mut Client, commands: impl Iterator<Item = Vec<Vec<u8>>>) {
    const PIPELINE_BYTES: usize = 256 << 10;
    let (mut bytes, mut count) = (Vec::new(), 0);
    let mut flush = |bytes: &mut Vec<u8>, count: &mut usize| {
        client.send_raw(bytes);
        (0..*count).for_each(|_| drop(client.recv()));
        bytes.clear();
        *count = 0;
    };
    for command in commands {
        encode(&mut bytes, &command);
        count += 1;
        if bytes.len() >= PIPELINE_BYTES {
            flush(&mut bytes, &mut count);
        }
    }
    flush(&mut bytes, &mut count);
}

fn set(key: String, value: &[u8]) -> Vec<Vec<u8>> {
    vec![b"SET".to_vec(), key.into_bytes(), value.to_vec()]
}

/// Keys that [`grow`] writes.
const GROWING: u64 = 26_000;

/// Writes keys several times, with values that become larger and larger: four times the budget in the end.
fn grow(client: &mut Client) {
    grow_some(client, 0..GROWING);
}

fn grow_some(client: &mut Client, keys: Range<u64>) {
    for bytes in [10, 60, 300, 1_200, 5_000, 15_000] {
        let value = noise(bytes, bytes as usize);
        pipeline(client, keys.clone().map(|n| set(format!("key:{n}"), &value)));
    }
}

/// Reads some of them.
fn read_grown(client: &mut Client) {
    let get = |n: u64| vec![b"GET".to_vec(), format!("key:{}", n * 7 % GROWING).into_bytes()];
    pipeline(client, (0..GROWING).map(get));
}

#[test]
fn values_that_grow() {
    let mut watched = Watched::start(&[]);
    watched.stays_within("growing values", 0, grow);
    watched.stays_within("reading them", 0, read_grown);
    watched.server.kill_and_restart();
    watched.assert_peak("replay", BUDGET_BYTES + PASSING_BYTES);
    watched.comes_back("replay");
}

#[test]
fn several_connections_on_several_threads() {
    const CONNECTIONS: u64 = 4;
    const SHARE: u64 = GROWING / CONNECTIONS;
    let mut watched = Watched::start(&THREADED);
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| watched.server.client()).collect();
    let mut together = |act: fn(&mut Client, u64)| {
        std::thread::scope(|scope| {
            for (client, n) in clients.iter_mut().zip(0..) {
                scope.spawn(move || act(client, n));
            }
        });
    };
    watched.stays_within("growing values", 0, |_| {
        together(|client, n| grow_some(client, n * SHARE..(n + 1) * SHARE));
    });
    watched.stays_within("reading them", 0, |_| together(|client, _| read_grown(client)));
    watched.server.kill_and_restart();
    watched.assert_peak("replay", BUDGET_BYTES + PASSING_BYTES);
    watched.comes_back("replay");
}

#[test]
fn commands_and_transactions_that_write_much() {
    let mut watched = Watched::start(&[]);
    write_much(&mut watched);
    push_much(&mut watched);
}

#[test]
fn commands_and_transactions_that_write_much_and_wait_for_the_disk() {
    // Not `push_much`: its peak is within a MiB of what may be here, on either side of it. That is the server's to mend.
    write_much(&mut Watched::start(&THREADED));
}

fn write_much(watched: &mut Watched) {
    const KEYS: u64 = 60_000;
    let value = noise(1, 100);
    let bytes = KEYS * 120;
    watched.stays_within("wide MSET", bytes, |client| {
        for round in 0..4 {
            let pairs = (0..KEYS).flat_map(|n| [format!("wide:{round}:{n}").into_bytes(), value.clone()]);
            let command: Vec<Vec<u8>> = std::iter::once(b"MSET".to_vec()).chain(pairs).collect();
            assert_eq!(client.cmd(&command), haypile_testkit::ok());
        }
    });
    watched.stays_within("large MULTI", bytes, |client| {
        client.say("MULTI");
        pipeline(client, (0..KEYS).map(|n| set(format!("multi:{n}"), &value)));
        client.say("EXEC");
    });
}

fn push_much(watched: &mut Watched) {
    const ELEMENTS: u64 = 240_000;
    watched.stays_within("long RPUSH", ELEMENTS * 20, |client| {
        let elements = (0..ELEMENTS).map(|n| format!("element:{n}").into_bytes());
        let command = [b"RPUSH".to_vec(), b"list".to_vec()].into_iter().chain(elements);
        client.cmd(&command.collect::<Vec<_>>());
    });
}

#[test]
fn many_databases() {
    let mut watched = Watched::start(&["--databases", "64"]);
    let value = noise(2, 200);
    watched.stays_within("many databases", 0, |client| {
        for round in 0..2 {
            for db in 0..64 {
                client.say(&format!("SELECT {db}"));
                pipeline(client, (0..3_000).map(|n| set(format!("{round}:{n}"), &value)));
            }
        }
    });
}

#[test]
fn huge_collections() {
    const FIELDS: u64 = 400_000;
    let mut watched = Watched::start(&[]);
    let value = noise(3, 100);
    watched.stays_within("a huge hash", 0, |client| {
        let hset = |n: u64| {
            let pairs = (0..500).flat_map(|m| [format!("field:{}", n * 500 + m).into_bytes(), value.clone()]);
            let head = [b"HSET".to_vec(), b"hash".to_vec()];
            head.into_iter().chain(pairs).collect()
        };
        pipeline(client, (0..FIELDS / 500).map(hset));
    });
    watched.stays_within("COPY", FIELDS * 120, |client| {
        assert_eq!(client.say("COPY hash copy"), "1");
    });
}

#[test]
fn a_full_sync() {
    let mut primary = Watched::start(&[]);
    grow(&mut primary.server.client());
    primary.comes_back("growing values");
    primary.reset_peak();
    let address = format!("127.0.0.1 {}", primary.server.port());
    let replica = Watched::start(&["--replicaof", &address]);
    let mut client = replica.server.client();
    wait_until("the full sync", || {
        client.say("INFO replication").contains("master_link_status:up") && client.say("DBSIZE") == GROWING.to_string()
    });
    primary.assert_peak("a full sync at the primary", BUDGET_BYTES + PASSING_BYTES);
    replica.assert_peak("a full sync at the replica", BUDGET_BYTES + PASSING_BYTES);
    primary.comes_back("a full sync");
    replica.comes_back("a full sync");
}
