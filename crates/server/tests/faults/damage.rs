//! Files that are not what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::support::{assert_filled, assert_no_panic, assert_refuses, files, fill, flip, noise, partition};
use haypile_testkit::{Server, Value, text, wait_until};

const KEYS: u64 = 4000;
const VALUE_BYTES: usize = 1000;

/// A server that was killed with this much in a log of several segments, and nothing in the store: it all has to be
/// replayed.
fn killed() -> Server {
    let mut server = Server::start(&["--sync", "os", "--oplog-segment-bytes", "1mb"]);
    fill(&mut server.client(), KEYS, VALUE_BYTES);
    server.kill();
    server
}

/// A server that was stopped with this much in the store, in tables of several levels and families.
fn stopped() -> Server {
    let mut server = Server::start(&["--rocksdb-compression", "none"]);
    let mut client = server.client();
    fill(&mut client, KEYS, VALUE_BYTES);
    for n in 0..KEYS {
        client.send_lines(&[
            &format!("HSET hash {n} {}", noise(n, 200)),
            &format!("ZADD zset {n} {n}"),
        ]);
        client.hear_all(2);
    }
    assert!(server.stop().success());
    server
}

fn segments(server: &Server) -> Vec<PathBuf> {
    files(&partition(server).join("oplog"), |name| name.ends_with(".log"))
}

fn store_files(server: &Server, filter: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    files(&partition(server).join("store"), filter)
}

/// Where the records of a segment stand: begin and length.
fn records(path: &Path) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let (mut at, mut records) = (64, Vec::new());
    loop {
        let mut length = [0; 4];
        if file.read_exact_at(&mut length, at).is_err() || length == [0; 4] {
            return records;
        }
        let length = u64::from(u32::from_le_bytes(length));
        records.push((at, length));
        at += length;
    }
}

#[test]
fn a_damaged_log_is_never_replayed() {
    for part in ["the first segment", "the last segment", "a header"] {
        let mut server = killed();
        let segments = segments(&server);
        assert!(segments.len() >= 3, "{segments:?}");
        let (path, at) = match part {
            "the first segment" => (&segments[0], 500_000),
            "the last segment" => {
                let path = &segments[segments.len() - 1];
                let records = records(path);
                assert!(records.len() > 2, "{} records", records.len());
                (path, records[records.len() / 2].0 + 100)
            }
            _ => (&segments[1], 30),
        };
        flip(path, at);
        let content = fs::read(path).unwrap();
        for _ in 0..2 {
            assert_refuses(
                &mut server,
                &["the log is damaged", path.file_name().unwrap().to_str().unwrap()],
            );
        }
        assert!(fs::read(path).unwrap() == content, "the evidence is not touched");
        // Restored, it starts, and all is there.
        flip(path, at);
        server.start_again();
        assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    }
}

#[test]
fn a_torn_tail_is_cut_off_with_a_warning() {
    for torn in [true, false] {
        let mut server = killed();
        let segments = segments(&server);
        let last = &segments[segments.len() - 1];
        let (at, length) = *records(last).last().expect("a record");
        match torn {
            // The end of the write is missing, as after a crash in its midst.
            true => {
                let file = File::options().write(true).open(last).unwrap();
                file.write_all_at(&vec![0; length as usize - 50], at + 50).unwrap();
            }
            false => flip(last, at + length / 2),
        }
        server.start_again();
        let log = server.log();
        let warning = log
            .lines()
            .find(|line| line.contains("half-written"))
            .unwrap_or_else(|| panic!("{log}"));
        assert!(
            warning.contains("WARN") && warning.contains(&format!("offset={at}")),
            "{warning}"
        );
        let mut client = server.client();
        assert_filled(&mut client, KEYS - 1, VALUE_BYTES);
        assert_eq!(client.say(&format!("EXISTS key:{}", KEYS - 1)), "0");
        // It is told once, and what comes after it counts.
        fill(&mut client, KEYS, VALUE_BYTES);
        server.kill_and_restart();
        assert!(!server.log().contains("half-written"), "{}", server.log());
        assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    }
}

#[test]
fn a_log_that_has_lost_what_the_disk_confirmed_says_so_loudly() {
    const KEYS: u64 = 3000;
    let mut server = Server::start(&["--sync", "always", "--oplog-segment-bytes", "1mb"]);
    let mut client = server.client();
    fill(&mut client, KEYS, VALUE_BYTES);
    // What the disk has confirmed is noted once a second, with a write.
    let noted = partition(&server).join("oplog").join("synced");
    wait_until("it is noted what the disk has confirmed", || {
        assert_eq!(client.say("INCR n"), client.say("GET n").trim_matches('"'));
        fs::read(&noted).is_ok_and(|bytes| u64::from_le_bytes(bytes[40..48].try_into().unwrap()) > KEYS)
    });
    server.kill();
    let segments = segments(&server);
    assert!(segments.len() >= 3, "{segments:?}");
    fs::remove_file(&segments[segments.len() - 1]).unwrap();
    server.start_again();
    let log = server.log();
    let error = log.lines().find(|line| line.contains("acknowledged writes are lost"));
    let error = error.unwrap_or_else(|| panic!("{log}"));
    assert!(error.contains("ERROR") && error.contains("entries_lost="), "{error}");
    assert_eq!(server.client().say("EXISTS key:0 key:500"), "2");
    // It is told once.
    server.kill_and_restart();
    assert!(
        !server.log().contains("acknowledged writes are lost"),
        "{}",
        server.log()
    );
}

#[test]
fn hints_may_be_damaged() {
    let mut server = killed();
    let oplog = partition(&server).join("oplog");
    flip(&oplog.join("synced"), 42);
    for spare in files(&oplog, |name| name.starts_with("spare-")) {
        flip(&spare, 20);
    }
    server.start_again();
    assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    server.kill();
    fs::remove_file(oplog.join("synced")).unwrap();
    server.start_again();
    assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    assert!(server.stop().success());
    for path in store_files(&server, |name| name.starts_with("OPTIONS-") || name == "LOG") {
        flip(&path, 30);
    }
    server.start_again();
    assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    assert_no_panic(&server.log());
}

#[test]
fn a_damaged_table_fails_the_reads_that_need_it() {
    let mut server = stopped();
    let mut tables = store_files(&server, |name| name.ends_with(".sst"));
    tables.retain(|table| fs::metadata(table).unwrap().len() > 100_000);
    assert!(tables.len() >= 2, "{tables:?}");
    // Data blocks fill the first part of a table; its index and the rest stand at the end.
    for table in &tables {
        let data = fs::metadata(table).unwrap().len() / 2;
        (data / 4..data).step_by(3000).for_each(|at| flip(table, at));
    }
    server.start_again();
    let mut client = server.client();
    let (mut right, mut failed) = (0, 0);
    for n in 0..KEYS {
        let reply = client.cmd(&["GET", &format!("key:{n}")]);
        match &reply {
            _ if reply.as_bytes() == Some(noise(n, VALUE_BYTES).as_bytes()) => right += 1,
            Value::Error(error) => {
                assert!(error.starts_with("ERR the store is corrupt"), "{error}");
                failed += 1;
            }
            _ => panic!("key:{n} is {}", text(&reply)),
        }
    }
    assert!(right > 0 && failed > 0, "{right} right, {failed} failed");
    // Ranges, what goes over everything, and writes that have to read: whatever lies in a block that is whole goes on.
    let mut failed = 0;
    for line in [
        "HGETALL hash",
        "HKEYS hash",
        "ZRANGE zset 0 -1",
        "ZCOUNT zset -inf +inf",
        "SCAN 0 COUNT 100000",
    ] {
        let reply = client.say(line);
        assert!(
            !reply.starts_with("(error)") || reply.starts_with("(error) ERR the store is corrupt"),
            "{reply:.200}"
        );
        failed += u64::from(reply.starts_with("(error)"));
    }
    assert!(failed > 0);
    for n in 0..KEYS {
        let reply = client.say(&format!("APPEND key:{n} x"));
        assert!(reply.parse::<u64>().is_ok() || reply.starts_with("(error) "), "{reply}");
    }
    assert_eq!(client.say("PING"), "PONG");
    assert_no_panic(&server.log());
    server.kill_and_restart();
    assert_eq!(server.client().say("PING"), "PONG");
    // It may fail to save everything, but it ends.
    let status = server.stop();
    assert!(status.code().is_some(), "{status}");
}

#[test]
fn a_store_that_cannot_be_opened_is_refused() {
    let manifest = |server: &Server| store_files(server, |name| name.starts_with("MANIFEST-")).remove(0);
    let store = |server: &Server, name: &str| partition(server).join("store").join(name);
    type Damage<'a> = (&'a str, &'a dyn Fn(&Server));
    let damages: &[Damage] = &[
        ("a flipped bit in the manifest", &|server| {
            let path = manifest(server);
            flip(&path, fs::metadata(&path).unwrap().len() / 2);
        }),
        ("an empty manifest", &|server| fs::write(manifest(server), "").unwrap()),
        ("no manifest", &|server| fs::remove_file(manifest(server)).unwrap()),
        ("CURRENT names nothing", &|server| {
            fs::write(store(server, "CURRENT"), "MANIFEST-999999\n").unwrap()
        }),
        ("CURRENT is rubbish", &|server| {
            fs::write(store(server, "CURRENT"), b"\xff\x00rubbish").unwrap()
        }),
        ("CURRENT is empty", &|server| {
            fs::write(store(server, "CURRENT"), "").unwrap()
        }),
        ("no CURRENT", &|server| {
            fs::remove_file(store(server, "CURRENT")).unwrap()
        }),
        ("a table is missing", &|server| {
            fs::remove_file(store_files(server, |name| name.ends_with(".sst")).remove(0)).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let mut server = stopped();
        let tables = store_files(&server, |name| name.ends_with(".sst"));
        let saved = tempfile::tempdir().unwrap();
        let small = |name: &str| !name.ends_with(".sst");
        for path in store_files(&server, small) {
            fs::copy(&path, saved.path().join(path.file_name().unwrap())).unwrap();
        }
        damage(&server);
        let line = assert_refuses(&mut server, &["store"]);
        println!("{what}: {line}");
        if *what == "a table is missing" {
            continue;
        }
        // What was not damaged is still there: with the old files back it starts.
        assert_eq!(store_files(&server, |name| name.ends_with(".sst")), tables, "{what}");
        for path in store_files(&server, small) {
            fs::remove_file(path).unwrap();
        }
        for path in files(saved.path(), |_| true) {
            fs::copy(&path, partition(&server).join("store").join(path.file_name().unwrap())).unwrap();
        }
        server.start_again();
        assert_filled(&mut server.client(), KEYS, VALUE_BYTES);
    }
}

#[test]
fn a_partition_of_another_format_is_refused() {
    let mut server = Server::start(&[]);
    assert_eq!(server.client().say("SET a 1"), "OK");
    assert!(server.stop().success());
    let path = partition(&server).join("partition.toml");
    let right = fs::read(&path).unwrap();
    for (text, words) in [
        (&b""[..], "is missing"),
        (b"format = 1\n", "this directory was written by an earlier version"),
        (b"format = 4\n", "format 4 was written by another version"),
        (b"rubbish\x00", "is missing"),
        (b"format = \xff\xfe\n", "partition.toml"),
    ] {
        fs::write(&path, text).unwrap();
        assert_refuses(&mut server, &["partition.toml", words]);
    }
    fs::write(&path, &right).unwrap();
    server.start_again();
    assert_eq!(server.client().say("GET a"), "\"1\"");
}
