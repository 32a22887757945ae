//! The fuzz target of this crate, in the ordinary tests: any bytes, and what members say to each other with some damage.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;
#[path = "fuzz/wire.rs"]
mod wire;

use std::collections::VecDeque;

use bytes::Bytes;
use haypile_consensus::{Ballot, Entry, Group, LogError, LogReader, Members, Message, Settings, Start};
use haypile_types::{Position, Random};
use mutate::{any_bytes, damaged};
use proptest::prelude::*;

/// The same numbers each time.
struct Rng(u64);

impl Random for Rng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 ^ (self.0 >> 33)
    }
}

/// All that is asked of it is in the member's memory.
struct NoDisk;

impl LogReader for NoDisk {
    fn read(&self, from: u64, _: u64, _: u64) -> Result<Vec<Entry>, LogError> {
        Err(LogError::Collected(from))
    }
}

/// A member whose log is empty.
fn member(replica: u64) -> Group<NoDisk> {
    let start = Start {
        ballot: Ballot::default(),
        terms: vec![Position::ZERO],
        last: Position::ZERO,
        applied: 0,
        members: Members::founding((1..=3).map(|number| (number, format!("host:{number}")))),
    };
    Group::new(Settings::new(replica), start, NoDisk, 0, Box::new(Rng(replica))).unwrap()
}

/// What three members say from an election to a handover, as it travels.
fn messages() -> Vec<Vec<u8>> {
    let mut members = [1, 2, 3].map(member);
    let mut travelled = Vec::new();
    let mut now_us = 0;
    let mut pending: VecDeque<Message> = VecDeque::new();
    for round in 0..200 {
        now_us += 25_000;
        if let Some(leader) = members.iter_mut().find(|member| member.serves().is_some()) {
            let texts = [Bytes::from_static(b"a"), Bytes::from_static(b"bc")];
            leader.propose(now_us, now_us, texts).ok();
            if round % 50 == 49 {
                let to = leader.successor().unwrap();
                leader.transfer(now_us, to);
            }
        }
        for member in &mut members {
            member.tick(now_us);
        }
        loop {
            for member in &mut members {
                let outputs = member.take();
                pending.extend(outputs.messages);
                if let Some(last) = outputs.committed.last() {
                    member.applied(now_us, last.position.index);
                }
                for work in outputs.work {
                    member.persisted(now_us, work.number);
                }
                pending.extend(member.take().messages);
            }
            let Some(message) = pending.pop_front() else { break };
            travelled.push(message.encode().unwrap());
            let to = message.to() as usize - 1;
            members[to].step(now_us, message);
        }
    }
    travelled
}

/// A few of each kind of message, by its first bytes: the schema begins with it.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for message in messages() {
        let alike = seeds.iter().filter(|seed| seed[..2] == message[..2]).count();
        if alike < 6 {
            seeds.push(message);
        }
    }
    seeds
}

proptest! {
    #![proptest_config(mutate::config(4000))]

    #[test]
    fn any_bytes_are_no_message_or_one_that_is_understood(bytes in any_bytes(200)) {
        wire::read(&bytes);
    }

    #[test]
    fn damaged_messages_are_refused_or_understood(bytes in damaged(prop::sample::select(seeds()))) {
        wire::read(&bytes);
    }
}

/// The seeds are what they are for: all kinds that members send are among them, and all can be read.
#[test]
fn seeds_are_valid() {
    let seeds = seeds();
    let kinds: std::collections::BTreeSet<u8> = seeds.iter().map(|seed| seed[1]).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert!(seeds.iter().all(|seed| wire::read(seed).is_some()));
    mutate::keep_seeds("consensus_wire", &seeds);
}
