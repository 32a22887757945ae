//! A full sync without a throttle, beside `cp -r` and `sync` of the same files.
//!
//! What is copied by `cp` is a checkpoint of the primary's data, as a full sync takes one itself; both see the page
//! cache in the same state: all of the files read once, as far as they fit, or none of them (`--drop-caches`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cold::drop_caches;
use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server, tree_bytes};
use crate::process::Process;
use crate::report::{Table, met, mib, thousands};
use crate::sample::wait_for_rest;
use crate::workload::load_keys;

use super::Args;
use super::pair::{Info, follow, wait_until};

/// A full sync is to take at most so many times as long as `cp -r` and `sync`.
const RATIO_MAX: f64 = 2.0;
/// Bytes of `key:` and twelve digits.
pub const KEY_BYTES: u64 = 16;
/// Bytes of a value.
pub const VALUE_BYTES: u32 = 1024;
/// A full sync is not waited for longer.
const FULL_SYNC_MAX: Duration = Duration::from_secs(1800);
/// The log of what was written at first is collected within this.
const COLLECTED_MAX: Duration = Duration::from_secs(60);
/// The least that oplog-retention-bytes can be.
const RETENTION_BYTES: u64 = 16 << 20;

/// Arguments that keep little of the log, so that an empty replica has to copy.
pub fn retention() -> [String; 2] {
    ["--oplog-retention-bytes".into(), RETENTION_BYTES.to_string()]
}

/// Waits until the log no longer begins with the first entry.
pub fn forget_the_log(primary: &Server) -> Result<(), Error> {
    let mut client = primary.client()?;
    wait_until(
        "the primary has collected the beginning of its log",
        COLLECTED_MAX,
        || {
            let info = Info::of(&mut client)?;
            let first = info.number("repl_backlog_first_byte_offset")?;
            Ok(if first > 1 {
                Ok(())
            } else {
                Err(format!("it begins with {first}"))
            })
        },
    )
}

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let peer = args.haypile().with(&retention());
    let keys = (args.full_sync_mib << 20) / (KEY_BYTES + u64::from(VALUE_BYTES));
    let mut primary = args.start(&peer)?;
    let mut rows = Vec::new();
    let mut add = |figure: &str, value: String, target: String, met: String| {
        println!("{figure}: {value}");
        rows.push(vec![figure.to_owned(), value, target, met]);
    };
    let start = Instant::now();
    load_keys(&mut primary.client()?, keys, VALUE_BYTES)?;
    let rate = keys as f64 / start.elapsed().as_secs_f64();
    add(
        "loading, one connection",
        format!("{} keys/s", thousands(rate)),
        String::new(),
        String::new(),
    );
    forget_the_log(&primary)?;
    wait_for_rest(slice::from_mut(&mut primary))?;

    let checkpoint = checkpoint(&primary)?;
    let bytes = tree_bytes(&checkpoint)?;
    add("checkpoint", mib(bytes), String::new(), String::new());
    prepare_cache(args, &checkpoint)?;
    let copied = copy(args, &checkpoint)?;
    let speed = |time: Duration| {
        format!(
            "{:.1} s, {}/s",
            time.as_secs_f64(),
            mib((bytes as f64 / time.as_secs_f64()) as u64)
        )
    };
    add("cp -r and sync", speed(copied), String::new(), String::new());

    prepare_cache(args, &checkpoint)?;
    let synced = full_sync(args, &peer, &primary, keys)?;
    let ratio = synced.as_secs_f64() / copied.as_secs_f64();
    add(
        "full sync, from REPLICAOF to serving",
        format!("{}, {ratio:.2} times cp", speed(synced)),
        format!("<= {RATIO_MAX} times"),
        met(ratio <= RATIO_MAX),
    );
    drop(primary);
    if args.redis_full_sync {
        for redis in args.peers().iter().filter(|peer| peer.name == "redis") {
            let primary = args.start(redis)?;
            load_keys(&mut primary.client()?, keys, VALUE_BYTES)?;
            let time = full_sync(args, redis, &primary, keys)?;
            add("full sync, Redis", speed(time), String::new(), String::new());
        }
    }
    Ok(Table {
        title: format!(
            "full-sync: {} keys of {VALUE_BYTES} bytes that do not compress, page cache {}",
            thousands(keys as f64),
            if args.drop_caches { "empty" } else { "warm" }
        ),
        header: ["figure", "value", "target", "met"].map(str::to_owned).into(),
        rows,
    })
}

/// Makes a checkpoint, which does not change any more; gives its directory.
fn checkpoint(primary: &Server) -> Result<PathBuf, Error> {
    primary.client()?.ask(&["SAVE"])?;
    let all = primary.data_dir().join("checkpoints");
    let newest = fs::read_dir(&all)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .max();
    newest.ok_or_else(|| Error::File {
        path: all,
        source: io::Error::other("no checkpoint in it after SAVE"),
    })
}

/// Writes out what is dirty, and reads all files or empties the cache.
fn prepare_cache(args: &Args, dir: &Path) -> Result<(), Error> {
    run("sync", &[])?;
    if args.drop_caches {
        drop_caches()
    } else {
        Ok(read_all(dir)?)
    }
}

fn read_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path)?;
        } else {
            io::copy(&mut File::open(path)?, &mut io::sink())?;
        }
    }
    Ok(())
}

/// Times `cp -r` and `sync`.
fn copy(args: &Args, from: &Path) -> Result<Duration, Error> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("haypile-bench-");
    // Beside the servers' directories, so on the same file system.
    let to: TempDir = args
        .dir()
        .map_or_else(|| builder.tempdir(), |dir| builder.tempdir_in(dir))?;
    let start = Instant::now();
    run(
        "cp",
        &["-r", &from.display().to_string(), &to.path().display().to_string()],
    )?;
    run("sync", &[])?;
    Ok(start.elapsed())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(arguments);
    let (status, _, errors) = Process::output(command).map_err(|source| Error::Start {
        program: program.into(),
        source,
    })?;
    interrupt::check()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{program} {}: {status}: {}",
        arguments.join(" "),
        errors.trim()
    ))
    .into())
}

/// Times an empty replica's way from REPLICAOF until it has all keys and answers.
fn full_sync(args: &Args, peer: &Peer, primary: &Server, keys: u64) -> Result<Duration, Error> {
    let replica = args.start(peer)?;
    let last = format!("key:{:012}", keys - 1);
    let mut client = replica.client()?;
    let start = Instant::now();
    follow(&replica, "127.0.0.1", primary.port)?;
    let mut stage = String::new();
    wait_until("the replica has all keys and serves", FULL_SYNC_MAX, || {
        let info = Info::of(&mut client)?;
        // What it does now, for those who want to know where the time goes.
        let now = ["sync_partition0", "sync_partition0_copy"]
            .iter()
            .filter_map(|name| info.field(name)?.split(',').next())
            .collect::<Vec<_>>()
            .join(" ");
        if now != stage {
            println!("  {:>8.3} s {now}", start.elapsed().as_secs_f64());
            stage = now;
        }
        // LOADING while the data is changed.
        let size = client.call(&["DBSIZE"])?.as_i64();
        let there = info.is_up()
            && size == i64::try_from(keys).ok()
            && client.call(&["STRLEN", &last])?.as_i64() == Some(i64::from(VALUE_BYTES));
        Ok(if there {
            Ok(())
        } else {
            Err(format!("{size:?} keys\n{info:?}"))
        })
    })?;
    Ok(start.elapsed())
}
