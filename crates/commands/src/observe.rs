//! What a command tells the rest of the server while it runs: which keys it changed, and how.

use crate::KeyEvent;

/// A class of keyspace events; the letters are those of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Class {
    /// `g`: commands that are not specific to a type.
    Generic = 1 << 2,
    /// `$`: strings.
    String = 1 << 3,
    /// `l`: lists.
    List = 1 << 4,
    /// `s`: sets.
    Set = 1 << 5,
    /// `h`: hashes.
    Hash = 1 << 6,
    /// `z`: sorted sets.
    Zset = 1 << 7,
    /// `x`: a key expired.
    Expired = 1 << 8,
    /// `e`: a key was evicted.
    Evicted = 1 << 9,
    /// `t`: streams.
    Stream = 1 << 10,
    /// `m`: a key that was read does not exist.
    KeyMiss = 1 << 12,
    /// `n`: a key was created.
    New = 1 << 13,
}

/// Hears of changes in the order in which they happen. What it heard of a command that then fails is for its owner to
/// forget.
pub trait Observer {
    /// A key has changed: transactions that watch it fail.
    fn modified(&mut self, db: u16, key: &[u8]);
    /// A keyspace event.
    fn event(&mut self, event: KeyEvent, db: u16, key: &[u8]);
    /// A list, sorted set or stream has got elements: clients that are blocked on it are looked at.
    fn ready(&mut self, db: u16, key: &[u8]);
    /// A reading command looked a key up.
    fn looked_up(&mut self, hit: bool);
    /// A key was removed because its time was over: transactions fail that began to watch it while it lived. For those
    /// that watch it since later, it was gone already.
    fn expired(&mut self, db: u16, key: &[u8]);
    /// The keys of a database that some transaction watches: asked before another database takes its place.
    fn watched(&self, db: u16) -> Vec<Vec<u8>>;
    /// All keys of a database have gone: transactions fail that watch one which was there.
    fn emptied(&mut self, db: u16);
    /// A database has become another one: all who are blocked on its keys are looked at.
    fn replaced(&mut self, db: u16);
}

/// An observer that does not listen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Observer for Deaf {
    fn modified(&mut self, _: u16, _: &[u8]) {}
    fn event(&mut self, _: KeyEvent, _: u16, _: &[u8]) {}
    fn ready(&mut self, _: u16, _: &[u8]) {}
    fn looked_up(&mut self, _: bool) {}
    fn expired(&mut self, _: u16, _: &[u8]) {}
    fn watched(&self, _: u16) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn emptied(&mut self, _: u16) {}
    fn replaced(&mut self, _: u16) {}
}
