//! The categories of commands that access rules speak of: `+@read`.

use crate::{Flags, Group, Spec};

/// A set of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Categories(u32);

macro_rules! categories {
    ($($name:ident = $bit:expr, $text:expr;)*) => {
        #[allow(missing_docs)] // the names say it
        impl Categories {
            $(pub const $name: Categories = Categories(1 << $bit);)*

            /// All of them with their names, in the order in which ACL CAT gives them.
            pub const ALL: &'static [(Categories, &'static str)] = &[$((Categories::$name, $text)),*];
        }
    };
}

categories! {
    KEYSPACE = 0, "keyspace";
    READ = 1, "read";
    WRITE = 2, "write";
    SET = 3, "set";
    SORTED_SET = 4, "sortedset";
    LIST = 5, "list";
    HASH = 6, "hash";
    STRING = 7, "string";
    BITMAP = 8, "bitmap";
    HYPERLOGLOG = 9, "hyperloglog";
    GEO = 10, "geo";
    STREAM = 11, "stream";
    PUBSUB = 12, "pubsub";
    ADMIN = 13, "admin";
    FAST = 14, "fast";
    SLOW = 15, "slow";
    BLOCKING = 16, "blocking";
    DANGEROUS = 17, "dangerous";
    CONNECTION = 18, "connection";
    TRANSACTION = 19, "transaction";
    SCRIPTING = 20, "scripting";
}

impl Categories {
    /// None.
    pub const NONE: Categories = Categories(0);

    /// Both sets together.
    pub const fn or(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }

    /// True if all of `other` are among them.
    pub const fn has(self, other: Categories) -> bool {
        self.0 & other.0 == other.0
    }

    /// The category of this name, in any case, without the `@`.
    pub fn find(name: &[u8]) -> Option<Categories> {
        let found = Categories::ALL
            .iter()
            .find(|(_, text)| name.eq_ignore_ascii_case(text.as_bytes()));
        found.map(|(category, _)| *category)
    }

    /// Their names, in the order of [`Categories::ALL`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let mine = Categories::ALL.iter().filter(move |(category, _)| self.has(*category));
        mine.map(|(_, name)| *name)
    }
}

impl Group {
    /// The category of the commands of a family, as far as all of them have one.
    const fn category(self) -> Categories {
        match self {
            Group::Generic => Categories::KEYSPACE,
            Group::String => Categories::STRING,
            Group::Bitmap => Categories::BITMAP,
            Group::List => Categories::LIST,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTED_SET,
            Group::Hash => Categories::HASH,
            Group::Hyperloglog => Categories::HYPERLOGLOG,
            Group::Geo => Categories::GEO,
            Group::Pubsub => Categories::PUBSUB,
            Group::Transactions => Categories::TRANSACTION,
            Group::Scripting => Categories::SCRIPTING,
            Group::Connection => Categories::CONNECTION,
            Group::Server | Group::Cluster => Categories::NONE,
        }
    }
}

impl Spec {
    /// The categories that the command belongs to: those that it names itself, or else its family's, and those that follow
    /// from its flags.
    pub const fn all_categories(&self) -> Categories {
        let mut all = match self.categories {
            Some(own) => own,
            None if self.is_container() => Categories::NONE,
            None => self.group.category(),
        };
        let implied = [
            (Flags::WRITE, Categories::WRITE),
            (Flags::READONLY, Categories::READ),
            (Flags::ADMIN, Categories::ADMIN.or(Categories::DANGEROUS)),
            (Flags::PUBSUB, Categories::PUBSUB),
            (Flags::FAST, Categories::FAST),
            (Flags::BLOCKING, Categories::BLOCKING),
        ];
        let mut at = 0;
        while at < implied.len() {
            if self.flags.has(implied[at].0) {
                all = all.or(implied[at].1);
            }
            at += 1;
        }
        match self.flags.has(Flags::FAST) {
            true => all,
            false => all.or(Categories::SLOW),
        }
    }
}
