//! Random operations, against a list in memory.

#![allow(clippy::unwrap_used)] // a failed test is a panic

mod common;

use common::{EIO, copy_dir, options, read_from, retain as keep};
use haypile_oplog::{Oplog, Options, SyncPolicy};
use haypile_types::Position;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Write {
        sizes: Vec<usize>,
        new_term: bool,
    },
    FailWrite {
        sizes: Vec<usize>,
        partial: u64,
    },
    Sync,
    /// Kill: reopen without closing.
    Reopen,
    Close,
    /// What a copy taken now, as after a crash, has.
    Copy,
    Collect {
        thousandth: u64,
        retain: u64,
    },
    Truncate {
        thousandth: u64,
    },
    Reset {
        term_more: u64,
        index: u64,
    },
    ReadFrom {
        thousandth: u64,
    },
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![8 => 0usize..200, 1 => 1000usize..6000], 1..12)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (sizes(), prop::bool::weighted(0.1)).prop_map(|(sizes, new_term)| Op::Write { sizes, new_term }),
        2 => (sizes(), 0u64..600).prop_map(|(sizes, partial)| Op::FailWrite { sizes, partial }),
        1 => Just(Op::Sync),
        2 => Just(Op::Reopen),
        1 => Just(Op::Close),
        1 => Just(Op::Copy),
        2 => (0u64..=1000, 0u64..6).prop_map(|(thousandth, retain)| Op::Collect { thousandth, retain }),
        2 => (0u64..=1000).prop_map(|thousandth| Op::Truncate { thousandth }),
        1 => (0u64..3, 0u64..500).prop_map(|(term_more, index)| Op::Reset { term_more, index }),
        3 => (0u64..=1000).prop_map(|thousandth| Op::ReadFrom { thousandth }),
    ]
}

/// What the log should hold.
struct Model {
    /// Before the first entry.
    before: Position,
    entries: Vec<(Position, u64, Vec<u8>)>,
}

impl Model {
    fn last(&self) -> Position {
        self.entries.last().map_or(self.before, |entry| entry.0)
    }

    fn index_at(&self, thousandth: u64) -> u64 {
        self.before.index + (self.entries.len() as u64 * thousandth) / 1000
    }

    fn drop_before(&mut self, first: u64) {
        while self.before.index + 1 < first {
            self.before = self.entries.remove(0).0;
        }
    }

    fn check(&self, log: &Oplog, from: u64) {
        let read = read_from(log, from).unwrap();
        let expected = &self.entries[(from - self.before.index - 1) as usize..];
        assert_eq!(read.len(), expected.len());
        for (read, (position, timestamp, payload)) in read.iter().zip(expected) {
            assert_eq!((read.header.position, read.header.timestamp), (*position, *timestamp));
            assert_eq!(&read.payload, payload);
        }
    }
}

fn run(ops: Vec<Op>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        sync: SyncPolicy::EverySec,
        ..options()
    };
    let (mut log, _) = Oplog::open(dir.path(), options.clone()).unwrap();
    let mut model = Model {
        before: Position::ZERO,
        entries: Vec::new(),
    };
    let mut stamp = 0;
    for op in ops {
        match op {
            Op::Write { sizes, new_term } => {
                for size in sizes {
                    stamp += 1;
                    let last = model.last();
                    let term = last.term.max(1) + u64::from(new_term);
                    let entry = (Position::new(term, last.index + 1), stamp, vec![stamp as u8; size]);
                    log.push(entry.0, entry.1, &entry.2);
                    model.entries.push(entry);
                }
                assert_eq!(log.write().unwrap(), model.last());
            }
            Op::FailWrite { sizes, partial } => {
                log.faults().fail_writes(Some(EIO), partial);
                for size in sizes {
                    let last = log.last();
                    log.push(Position::new(last.term.max(1), last.index + 1), 0, &vec![0xee; size]);
                }
                assert!(log.write().is_err());
                log.faults().fail_writes(None, 0);
            }
            Op::Sync => assert_eq!(log.syncer().sync().unwrap(), model.last()),
            Op::Reopen | Op::Close => {
                match op {
                    Op::Close => assert_eq!(log.close().unwrap(), model.last()),
                    _ => drop(log),
                }
                let opened;
                (log, opened) = Oplog::open(dir.path(), options.clone()).unwrap();
                assert_eq!((opened.last, opened.torn_tail), (model.last(), None));
                if let Some(first) = model.entries.first() {
                    assert_eq!(opened.first, first.0);
                }
            }
            Op::Copy => {
                let copy = copy_dir(dir.path());
                let (copied, opened) = Oplog::open(copy.path(), options.clone()).unwrap();
                assert_eq!((opened.last, opened.torn_tail), (model.last(), None));
                model.check(&copied, copied.first_index());
            }
            Op::Collect { thousandth, retain } => {
                log.set_retention(keep(retain * 4096, u64::MAX));
                let flushed = model.index_at(thousandth);
                log.collect(flushed, 1).unwrap();
                assert!(log.first_index() <= flushed + 1);
                model.drop_before(log.first_index());
            }
            Op::Truncate { thousandth } => {
                let index = model.index_at(thousandth);
                log.truncate_after(index).unwrap();
                model.entries.truncate((index - model.before.index) as usize);
            }
            Op::Reset { term_more, index } => {
                model.before = Position::new(model.last().term + term_more, index);
                model.entries.clear();
                log.reset_after(model.before).unwrap();
            }
            Op::ReadFrom { thousandth } => {
                model.check(&log, model.index_at(thousandth) + 1);
            }
        }
        assert_eq!(log.last(), model.last());
        assert_eq!(log.first_index(), model.before.index + 1);
    }
    model.check(&log, log.first_index());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list(ops in prop::collection::vec(op(), 1..80)) {
        run(ops);
    }
}
