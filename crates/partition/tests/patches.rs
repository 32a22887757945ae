//! What is logged of changes of strings and of expiries, and that followers and replays come to the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashSet;

use haypile_commands::key::digest::{self, Digest};
use haypile_partition::{Partition, ReplicatedEntry, Role, Turn};
use haypile_store::row::Header;
use haypile_types::{Random, SLOTS, XorShift};

use common::{FIRST, entries, open_as, run_line};

fn catch_up(source: &Partition, follower: &Partition) {
    let from = follower.local_position().end.index + 1;
    follower.set_history(FIRST, source.history(), from - 1).unwrap();
    let entries = entries(source, from);
    let replicated = entries.iter().map(|entry| ReplicatedEntry {
        position: entry.header.position,
        timestamp: entry.header.timestamp,
        payload: &entry.payload,
    });
    follower.append_replicated(FIRST, replicated, vec![]).unwrap();
}

fn digest_of(partition: &Partition) -> Digest {
    let everything = |turn: &mut Turn<'_>| turn.inspect(0, |cx| Ok(digest::everything(&mut cx.view)?));
    partition.run_internal(everything).unwrap().unwrap()
}

/// A command of those that change a little of a row that may be large.
fn command(random: &mut XorShift) -> String {
    let mut below = |n: u64| random.next_u64() % n;
    let key = ["a", "b", "c", "h"][below(4) as usize];
    let far = 4000 + below(8000);
    let near = below(100);
    let offset = if below(2) == 0 { far } else { near };
    // Some of these are over at once.
    let at = 99_999_999_999 + below(1000);
    match below(20) {
        0..4 => format!("setrange {key} {offset} {}", "x".repeat(1 + near as usize)),
        4..8 => format!("setbit {key} {} {}", offset * 8 + near % 8, near % 2),
        8..11 => format!("append {key} {}", "y".repeat(1 + (offset % 700) as usize)),
        11 => format!(
            "bitfield {key} set u16 {} {near} incrby i5 #{offset} {near}",
            offset * 8 + 3
        ),
        12 => format!("pfadd p{key} {near} {far}"),
        13 => format!("pfcount p{key}"),
        14 => format!("pexpireat {key} {at}000"),
        15 => format!("persist {key}"),
        16 => format!("getex {key} pxat {at}001"),
        17 if near < 30 => format!("del {key}"),
        17 => format!("pfmerge p{key} pa pb"),
        18 if near < 30 => format!("set {key} {}", "z".repeat(offset as usize)),
        18 => format!("expire {key} -1"),
        _ => format!("hset h{key} field{near} value"),
    }
}

/// One of those that make keys and take them away, and give them an expiry or take it: of strings, of packed collections and
/// of others.
fn counting_command(random: &mut XorShift) -> String {
    let mut below = |n: u64| random.next_u64() % n;
    let key = ["s{1}", "s{2}", "h{1}", "h{2}", "z{1}"][below(5) as usize];
    let (field, at) = (below(50), 99_999_999_999_000 + below(3));
    let letters = |n: u64| "v".repeat(1 + n as usize);
    match below(14) {
        0 => format!("pexpireat {key} {at}"),
        1 => format!("persist {key}"),
        // They are over when they are looked at next, or at once.
        2 => format!("pexpire {key} 1"),
        3 => format!("expire {key} -1"),
        4 => format!("del {key}"),
        5 | 6 if key.starts_with('s') => match field % 4 {
            0 => format!("setrange {key} 9000 x"),
            1 => format!("setrange {key} {field} x"),
            2 => format!("setbit {key} {} 1", field * 3000),
            _ => format!("append {key} {}", letters(field)),
        },
        5 => format!("hset {key} f{field} {}", letters(field)),
        // Too long to be packed.
        6 => format!("hset {key} f{field} {}", letters(200)),
        7 => format!("hdel {key} f{field}"),
        8 => format!("set {key} {} keepttl", letters(field * 100)),
        9 => format!("getex {key} persist"),
        10 => format!("rename {key} s{{1}}"),
        11 => format!("copy {key} h{{2}} replace"),
        12 => format!("set {key} v px 1"),
        _ => format!("sadd {key} {}", letters(field)),
    }
}

/// Keys and keys that expire: what the counters say of the database and of each slot of it, and what there is.
fn counts_of(partition: &Partition) -> [(u64, u64); 3] {
    let read = |turn: &mut Turn<'_>| {
        turn.inspect(0, |cx| {
            let counters = cx.counts();
            let space = cx.view.space(0);
            let slots = (0..SLOTS).map(|slot| cx.view.counts_of_slot(space, slot));
            let slots = slots.fold((0, 0), |sum, slot| (sum.0 + slot.keys, sum.1 + slot.expires));
            let (mut rows, mut there) = (cx.scan_rows(&[], None)?, (0, 0));
            while let Some((_, row)) = rows.next()? {
                there.0 += 1;
                there.1 += u64::from(Header::read(row).unwrap().0.expire_at.is_some());
            }
            Ok([(counters.keys, counters.expires), slots, there])
        })
    };
    partition.run_internal(read).unwrap().unwrap()
}

#[test]
fn keys_are_counted_alike_where_the_log_is_replayed() {
    let mut seen = HashSet::new();
    for seed in 1..9u64 {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let source = open_as(dirs[0].path(), Role::Leader, 7);
        let mut follower = open_as(dirs[1].path(), Role::Follower, 7);
        let mut random = XorShift(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for round in 0..20 {
            let turn = |turn: &mut Turn<'_>| {
                for _ in 0..1 + random.next_u64() % 8 {
                    let fails = random.next_u64().is_multiple_of(4);
                    let outcome = turn.transaction(|turn| {
                        for _ in 0..1 + random.next_u64() % 4 {
                            run_line(turn, &counting_command(&mut random));
                        }
                        if fails { Err(()) } else { Ok(()) }
                    });
                    assert_eq!(outcome.is_err(), fails);
                }
            };
            source.run_internal(turn).unwrap();
            let counts = counts_of(&source);
            assert_eq!(counts, [counts[2]; 3], "seed {seed}, round {round}");
            seen.insert(counts[2]);
            catch_up(&source, &follower);
            assert_eq!(counts_of(&follower), counts, "seed {seed}, round {round}, follower");
            if round % 5 == 4 {
                drop(follower);
                follower = open_as(dirs[1].path(), Role::Follower, 7);
                assert_eq!(counts_of(&follower), counts, "seed {seed}, round {round}, opened again");
            }
        }
        let counts = counts_of(&source);
        drop(source);
        let source = open_as(dirs[0].path(), Role::Leader, 7);
        assert_eq!(counts_of(&source), counts, "seed {seed}, opened again");
    }
    let all_that_expire = seen.iter().filter(|(keys, expires)| keys == expires).count();
    assert!(seen.len() > 5 && all_that_expire < seen.len(), "{seen:?}");
}

#[test]
fn followers_and_replays_come_to_the_same() {
    for seed in 1..13u64 {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let source = open_as(dirs[0].path(), Role::Leader, 7);
        let mut follower = open_as(dirs[1].path(), Role::Follower, 7);
        let mut random = XorShift(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for round in 0..12 {
            let turn = |turn: &mut Turn<'_>| {
                for _ in 0..random.next_u64() % 40 {
                    match random.next_u64() % 4 {
                        0 => {
                            let fails = random.next_u64().is_multiple_of(2);
                            let outcome = turn.transaction(|turn| {
                                for _ in 0..3 {
                                    run_line(turn, &command(&mut random));
                                }
                                if fails { Err(()) } else { Ok(()) }
                            });
                            assert_eq!(outcome.is_err(), fails);
                        }
                        _ => drop(run_line(turn, &command(&mut random))),
                    }
                }
            };
            source.run_internal(turn).unwrap();
            if round % 3 == 0 {
                catch_up(&source, &follower);
                assert_eq!(digest_of(&follower), digest_of(&source), "seed {seed}, round {round}");
            }
            if round % 5 == 4 {
                drop(follower);
                follower = open_as(dirs[1].path(), Role::Follower, 7);
            }
        }
        catch_up(&source, &follower);
        let digest = digest_of(&source);
        assert_eq!(digest_of(&follower), digest, "seed {seed}");
        drop(source);
        assert_eq!(
            digest_of(&open_as(dirs[0].path(), Role::Leader, 7)),
            digest,
            "seed {seed}, opened again"
        );
    }
}

#[test]
fn what_is_logged_is_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open_as(dir.path(), Role::Leader, 7);
    let logged = |line: &str| {
        let before = partition.local_position().end.index;
        partition.run_internal(|turn| drop(run_line(turn, line))).unwrap();
        let entries = entries(&partition, before + 1);
        entries.iter().map(|entry| entry.payload.len()).sum::<usize>()
    };
    let many: String = (0..2000).map(|n| format!(" {n}")).collect();
    logged("setrange long 20971520 x");
    logged(&format!("pfadd dense{many}"));
    logged("pfdebug todense dense");
    for line in [
        "setbit long 80000001 1",
        "setrange long 12345 abcdef",
        "append long abcdef",
        "bitfield long set u16 800000 7 incrby u8 #5 1",
        "expire long 1000",
        "persist long",
        "getex long px 100000",
        "pexpireat long 99999999999999",
        "pfadd dense q1",
        "pfadd dense q2 q3 q4",
        "pfcount dense",
        "expire dense 1000",
        "setrange new 1000000 x",
    ] {
        let bytes = logged(line);
        assert!((1..130).contains(&bytes), "{line}: {bytes} bytes");
    }
    // What is short is logged whole, so that who replays it need not read it.
    logged("set short abc");
    assert_eq!(
        logged("append short d"),
        logged("set short abcd") + 3,
        "tag and event differ"
    );
}
