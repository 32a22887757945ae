//! Classes of keyspace events.

use super::super::codec::Codec;

/// A set of keyspace event classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(pub u32);

impl NotifyFlags {
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: u32 = 1;
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: u32 = 1 << 1;
    /// `g`: DEL, EXPIRE, RENAME and others that know no type.
    pub const GENERIC: u32 = 1 << 2;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 3;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 4;
    /// `s`: sets.
    pub const SET: u32 = 1 << 5;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 6;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 7;
    /// `x`: keys that expired.
    pub const EXPIRED: u32 = 1 << 8;
    /// `e`: keys that were evicted.
    pub const EVICTED: u32 = 1 << 9;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 10;
    /// `d`: types of modules.
    pub const MODULE: u32 = 1 << 11;
    /// `m`: reads of keys that do not exist; not in `A`.
    pub const KEY_MISS: u32 = 1 << 12;
    /// `n`: keys that did not exist before; not in `A`.
    pub const NEW: u32 = 1 << 13;
    /// `A`: `g$lshzxetd`.
    pub const ALL: u32 = Self::GENERIC
        | Self::STRING
        | Self::LIST
        | Self::SET
        | Self::HASH
        | Self::ZSET
        | Self::EXPIRED
        | Self::EVICTED
        | Self::STREAM
        | Self::MODULE;

    /// Whether any of the classes in `class` is on.
    pub fn has(self, class: u32) -> bool {
        self.0 & class != 0
    }

    /// Whether events of `class` go anywhere: a class that is on, and at least one of the two channels.
    pub fn publishes(self, class: u32) -> bool {
        self.has(class) && self.has(Self::KEYSPACE | Self::KEYEVENT)
    }
}

/// The letters of `notify-keyspace-events`.
pub struct NotifyLetters;

/// In the order in which Redis prints them.
const NOTIFY_LETTERS: [(char, u32); 14] = [
    ('g', NotifyFlags::GENERIC),
    ('$', NotifyFlags::STRING),
    ('l', NotifyFlags::LIST),
    ('s', NotifyFlags::SET),
    ('h', NotifyFlags::HASH),
    ('z', NotifyFlags::ZSET),
    ('x', NotifyFlags::EXPIRED),
    ('e', NotifyFlags::EVICTED),
    ('t', NotifyFlags::STREAM),
    ('d', NotifyFlags::MODULE),
    ('n', NotifyFlags::NEW),
    ('K', NotifyFlags::KEYSPACE),
    ('E', NotifyFlags::KEYEVENT),
    ('m', NotifyFlags::KEY_MISS),
];

impl Codec for NotifyLetters {
    type Value = NotifyFlags;

    fn parse(&self, text: &str, _now: Option<&NotifyFlags>) -> Result<NotifyFlags, String> {
        text.chars().try_fold(NotifyFlags::default(), |flags, letter| {
            let class = match NOTIFY_LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, class)) => *class,
                None if letter == 'A' => NotifyFlags::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
            Ok(NotifyFlags(flags.0 | class))
        })
    }

    fn print(&self, value: &NotifyFlags) -> String {
        let all = value.0 & NotifyFlags::ALL == NotifyFlags::ALL;
        let hidden = if all { NotifyFlags::ALL } else { 0 };
        let letters = NOTIFY_LETTERS
            .iter()
            .filter(|(_, class)| value.has(class & !hidden))
            .map(|(letter, _)| *letter);
        all.then_some('A').into_iter().chain(letters).collect()
    }

    fn allowed(&self) -> String {
        "any of the letters K E g $ l s h z x e t d m n, A for g$lshzxetd; empty for none".into()
    }
}
