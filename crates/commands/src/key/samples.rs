//! Keys for the tests of this family, made without the commands of other families.

use haypile_store::Direction;
use haypile_store::keys::spread;
use haypile_store::row::{Header, Kind};

use crate::key::digest;
use crate::testing::Bench;

impl Bench {
    /// Stores a string in place of what is there.
    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.write(|cx| {
            let old = cx.row(key.as_bytes()).unwrap().map(|row| row.header);
            cx.put_string(key.as_bytes(), old, value.as_bytes(), None).unwrap();
        });
    }

    /// Stores a collection of this many elements in place of what is there. They are laid out as the type has them, but
    /// for a sorted set's index.
    pub(super) fn collection(&mut self, key: &str, kind: Kind, elements: usize) {
        let items: Vec<_> = (0..elements)
            .map(|i| (format!("member {i}"), format!("value {i}")))
            .collect();
        self.filled(key, kind, &items);
    }

    /// The same with these members or fields and what is stored with them; of a list, the values in order.
    pub(super) fn filled(&mut self, key: &str, kind: Kind, items: &[(String, String)]) {
        self.write(|cx| {
            let old: Option<Header> = cx.row(key.as_bytes()).unwrap().map(|row| row.header);
            let mut made = cx.new_collection(key.as_bytes(), kind, old);
            for (i, (member, value)) in (0..).zip(items) {
                let (member, place) = (member.as_bytes(), spread(member.as_bytes()).to_be_bytes());
                let element = match kind {
                    Kind::List => (made.head + i).to_be_bytes().to_vec(),
                    Kind::Set => [&place, member].concat(),
                    Kind::Zset => [&[0], &place[..], member].concat(),
                    _ => member.to_vec(),
                };
                let value = match kind {
                    Kind::Zset => i.to_be_bytes().to_vec(),
                    Kind::Set => Vec::new(),
                    _ => value.clone().into_bytes(),
                };
                cx.put_element(&mut made, &element, &value).unwrap();
            }
            made.size = items.len() as u64;
            cx.put_collection(key.as_bytes(), &mut made).unwrap();
        });
    }

    /// Stores a value of this type and size.
    pub(super) fn value(&mut self, key: &str, kind: Kind, size: usize) {
        match kind {
            Kind::String => self.string(key, &"x".repeat(size)),
            _ => self.collection(key, kind, size),
        }
    }

    /// The number of elements that a collection has; its row says the same.
    pub(super) fn elements(&mut self, key: &str) -> usize {
        self.write(|cx| {
            let row = cx.row(key.as_bytes()).unwrap().unwrap();
            let found = crate::Collection::read(row).unwrap();
            let mut scan = cx.scan(&found, &[], None, Direction::Forward).unwrap();
            let mut n = 0;
            while let Some((element, _)) = scan.next().unwrap() {
                // What follows from others is not counted.
                n += usize::from(found.kind != Kind::Zset || element[0] == 0);
            }
            assert_eq!(n as u64, found.size);
            n
        })
    }

    /// The selected database's keys and expires.
    pub(super) fn counts(&mut self) -> (u64, u64) {
        self.write(|cx| (cx.counts().keys, cx.counts().expires))
    }

    pub(super) fn digest_value(&mut self, key: &str) -> digest::Digest {
        let db = self.db;
        self.write(|cx| digest::value(&mut cx.view, db, key.as_bytes()).unwrap().unwrap())
    }

    /// An array of strings, sorted.
    pub(super) fn list(&mut self, line: &str) -> Vec<String> {
        let reply = self.run(line);
        let mut parts: Vec<String> = reply.split('|').skip(2).step_by(2).map(str::to_owned).collect();
        parts.retain(|part| !part.is_empty());
        parts.sort();
        parts
    }
}
