//! A disk that gets full and empty again. It needs root ([`SmallDisk`]); elsewhere these tests say so and do nothing.

use super::support::{assert_no_panic, noise};
use haypile_testkit::{Client, Server, SmallDisk, Value, text, wait_until, words};

/// Size of the disk.
const DISK_MEGABYTES: u32 = 96;
/// Bytes of a file that is in the way.
const BALLAST_BYTES: usize = 40 << 20;
/// Bytes of each value.
const VALUE_BYTES: usize = 20_000;
/// Refusals after which the server has had the time to notice all that is wrong.
const REFUSALS: usize = 300;

/// A server with its data on this disk.
fn server(disk: &SmallDisk, more: &[&str]) -> Server {
    let dir = disk.path().join("data");
    let small = [
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--memory-budget",
        "64mb",
    ];
    let args = [
        "--dir",
        dir.to_str().unwrap(),
        "--rocksdb-write-buffer-size",
        "2mb",
        "--sync",
        "always",
    ];
    Server::start(&[&small[..], &args, more].concat())
}

/// What was acknowledged.
#[derive(Default)]
struct Written {
    keys: u64,
    attempts: u64,
}

impl Written {
    /// Writes one more key, and its number to a list and a hash. An error is the reply.
    fn write(&mut self, client: &mut Client) -> Result<(), String> {
        let n = self.keys;
        self.attempts += 1;
        let set = [
            b"SET".to_vec(),
            format!("key:{n}").into_bytes(),
            noise(n, VALUE_BYTES).into_bytes(),
        ];
        client.send(&["MULTI"]);
        client.send(&set);
        client.send(&words(&format!("RPUSH list {n}")));
        client.send(&words(&format!("HSET hash {n} x")));
        client.send(&["EXEC"]);
        let replies: Vec<Value> = (0..5).map(|_| client.recv()).collect();
        let errors = |replies: &[Value]| replies.iter().find_map(|r| r.as_error().map(str::to_owned));
        if let Some(error) = errors(&replies).or_else(|| errors(replies[4].as_elements().unwrap_or_default())) {
            return Err(error);
        }
        self.keys += 1;
        Ok(())
    }

    /// Writes until the disk is full; gives the error.
    fn write_until_refused(&mut self, client: &mut Client) -> String {
        loop {
            if let Err(error) = self.write(client) {
                assert_full(&error);
                return error;
            }
            assert!(self.keys < 100_000, "the disk never gets full");
        }
    }

    /// All that was acknowledged is there, and nothing else. Ranges are read as well.
    fn assert_all(&self, client: &mut Client) {
        for n in 0..self.keys {
            let reply = client.cmd(&["GET", &format!("key:{n}")]);
            assert!(
                reply.as_bytes() == Some(noise(n, VALUE_BYTES).as_bytes()),
                "key:{n} of {}",
                self.keys
            );
        }
        self.assert_ranges(client);
    }

    fn assert_ranges(&self, client: &mut Client) {
        let numbers: Vec<Value> = (0..self.keys)
            .map(|n| Value::Bulk(n.to_string().into_bytes()))
            .collect();
        let list = client.cmd(&["LRANGE", "list", "0", "-1"]);
        assert!(list == Value::Array(numbers), "the list: {}", text(&list));
        assert_eq!(client.say("HLEN hash"), self.keys.to_string());
        let hash = client.cmd(&["HGETALL", "hash"]);
        let elements = hash
            .as_elements()
            .unwrap_or_else(|| panic!("the hash: {}", text(&hash)));
        assert_eq!(elements.len() as u64, 2 * self.keys);
        let kinds = u64::from(self.keys > 0) * 2;
        assert_eq!(client.say("DBSIZE"), (self.keys + kinds).to_string());
        let scan = client.cmd(&["SCAN", "0", "COUNT", "1000000"]);
        let found = scan
            .as_elements()
            .and_then(|parts| parts[1].as_elements())
            .map(<[Value]>::len);
        assert_eq!(found, Some((self.keys + kinds) as usize));
    }
}

#[track_caller]
fn assert_full(error: &str) {
    assert!(
        error.starts_with("MISCONF ") && error.contains("the disk is full"),
        "{error}"
    );
}

/// Fills the disk, and goes on trying until the server has noticed it everywhere. Reads work all the time.
fn fill_up(written: &mut Written, client: &mut Client) {
    written.write_until_refused(client);
    for n in 0..REFUSALS {
        if let Err(error) = written.write(client) {
            assert_full(&error);
        }
        if n % 30 == 0 {
            written.assert_ranges(client);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    written.assert_all(client);
}

fn assert_writes_resume(written: &mut Written, client: &mut Client) {
    // And not only one: the server may still have to notice that RocksDB has met the end of the disk.
    wait_until("writes are accepted again", || {
        (0..200).all(|_| written.write(client).is_ok())
    });
    written.assert_all(client);
}

/// Limits with which the log, the store, or the reserve is the first to meet the end of the disk.
const RESERVES: [&str; 3] = ["0", "4mb", "24mb"];

#[test]
fn writes_are_refused_while_the_disk_is_full_and_resume_by_themselves() {
    for reserve in RESERVES {
        let Some(disk) = SmallDisk::mount(DISK_MEGABYTES) else {
            return;
        };
        disk.ballast(BALLAST_BYTES);
        let mut server = server(&disk, &["--disk-free-min-bytes", reserve]);
        let mut client = server.client();
        let mut written = Written::default();
        fill_up(&mut written, &mut client);
        let before = written.keys;
        disk.make_room();
        assert_writes_resume(&mut written, &mut client);
        assert!(
            before > 100 && written.keys > before,
            "{before} keys, then {}",
            written.keys
        );
        assert_no_panic(&server.log());
        server.kill_and_restart();
        written.assert_all(&mut server.client());
        assert_no_panic(&server.log());
    }
}

#[test]
fn a_server_that_is_killed_on_a_full_disk_starts_on_it() {
    for reserve in RESERVES {
        let Some(disk) = SmallDisk::mount(DISK_MEGABYTES) else {
            return;
        };
        disk.ballast(BALLAST_BYTES);
        let mut server = server(&disk, &["--disk-free-min-bytes", reserve]);
        let mut written = Written::default();
        fill_up(&mut written, &mut server.client());
        server.kill_and_restart();
        written.assert_all(&mut server.client());
        assert_no_panic(&server.log());
        // A clean stop may be impossible, but what was acknowledged is in the log.
        let log = server.log();
        let status = server.stop();
        assert!(status.code().is_some(), "it ended with {status}: {log}");
        server.start_again();
        let mut client = server.client();
        written.assert_all(&mut client);
        disk.make_room();
        assert_writes_resume(&mut written, &mut client);
        server.restart();
        written.assert_all(&mut server.client());
        assert_no_panic(&server.log());
    }
}

#[test]
fn who_wants_no_replies_hears_of_no_failed_write() {
    let Some(disk) = SmallDisk::mount(DISK_MEGABYTES) else {
        return;
    };
    let server = server(&disk, &["--disk-free-min-bytes", "0"]);
    let mut client = server.client();
    client.send(&["CLIENT", "REPLY", "OFF"]);
    let (values, more) = (5000, noise(0, VALUE_BYTES));
    for n in 0..values {
        client.send(&["SET", &format!("key:{n}"), &more]);
    }
    client.send_lines(&["CLIENT REPLY ON", "PING first"]);
    // These two may have been evaluated together with a write, and then they fail with it.
    for (reply, expected) in client.hear_all(2).iter().zip(["OK", "\"first\""]) {
        assert!(reply == expected || reply.contains("the disk is full"), "{reply}");
    }
    assert_eq!(client.say("PING second"), "\"second\"");
    let written: usize = client.say("DBSIZE").parse().unwrap();
    assert!((1..values).contains(&written), "{written} of {values} were written");
}
