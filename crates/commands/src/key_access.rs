//! What a command does with its keys: what COMMAND shows of it, and what patterns such as `%R~` are held against.

use haypile_resp::Request;

use crate::Flags;

/// What happens to a key: `RO`, `RW`, `OW` (overwritten) or `RM` (removed) says what happens to the value; `access` that
/// its content is returned or copied, `update`, `insert` and `delete` what is done to the content. As in Redis 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u16);

const NAMES: [(Access, &str); 10] = [
    (Access::RO, "RO"),
    (Access::RW, "RW"),
    (Access::OW, "OW"),
    (Access::RM, "RM"),
    (Access::CONTENT, "access"),
    (Access::UPDATED, "update"),
    (Access::INSERTED, "insert"),
    (Access::DELETED, "delete"),
    (Access::NO_KEY, "not_key"),
    (Access::VARIABLE, "variable_flags"),
];

impl Access {
    const RO: Access = Access(1 << 0);
    const RW: Access = Access(1 << 1);
    const OW: Access = Access(1 << 2);
    const RM: Access = Access(1 << 3);
    const CONTENT: Access = Access(1 << 4);
    const UPDATED: Access = Access(1 << 5);
    const INSERTED: Access = Access(1 << 6);
    const DELETED: Access = Access(1 << 7);
    /// It stands where a key would, for the sake of its slot.
    const NO_KEY: Access = Access(1 << 8);
    /// What is done depends on the options.
    const VARIABLE: Access = Access(1 << 9);

    /// The content is returned or copied.
    pub const READ: Access = Access::RO.or(Access::CONTENT);
    /// Only whether there is something, or how much.
    pub const LOOK: Access = Access::RO;
    /// The content is changed, whatever it was.
    pub const UPDATE: Access = Access::RW.or(Access::UPDATED);
    /// The content is changed and returned.
    pub const READ_UPDATE: Access = Access::UPDATE.or(Access::CONTENT);
    /// Content is returned and removed.
    pub const TAKE: Access = Access::RW.or(Access::CONTENT).or(Access::DELETED);
    /// Content is removed.
    pub const DELETE: Access = Access::RW.or(Access::DELETED);
    /// Content is added.
    pub const INSERT: Access = Access::RW.or(Access::INSERTED);
    /// Content is added and returned.
    pub const READ_INSERT: Access = Access::INSERT.or(Access::CONTENT);
    /// The content is returned, and what follows from it is kept beside it.
    pub const DERIVE: Access = Access::RW.or(Access::CONTENT);
    /// The value is replaced.
    pub const OVERWRITE: Access = Access::OW.or(Access::UPDATED);
    /// There was none.
    pub const CREATE: Access = Access::OW.or(Access::INSERTED);
    /// The value is removed.
    pub const REMOVE: Access = Access::RM.or(Access::DELETED);

    /// Both together.
    pub const fn or(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// True if the content is returned or copied: who may read the key may do that.
    pub const fn reads(self) -> bool {
        self.0 & Access::CONTENT.0 != 0
    }

    /// True if the content is changed: who may write the key may do that.
    pub const fn writes(self) -> bool {
        self.0 & (Access::UPDATED.0 | Access::INSERTED.0 | Access::DELETED.0) != 0
    }

    /// False for what only stands where a key would, as the channel of SPUBLISH.
    pub const fn is_key(self) -> bool {
        self.0 & Access::NO_KEY.0 == 0
    }

    /// As COMMAND shows it.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let has = move |flag: Access| self.0 & flag.0 != 0;
        NAMES
            .into_iter()
            .filter(move |(flag, _)| has(*flag))
            .map(|(_, name)| name)
    }
}

/// What a command does with each of its keys.
#[derive(Clone, Copy)]
pub enum KeyAccess {
    /// What its flags say: one that writes updates all of them, another one reads them.
    ByFlags,
    /// The same with all of them.
    All(Access),
    /// One thing with the first, another with all others.
    FirstAndOthers(Access, Access),
    /// The options decide; the first is the most that it can be.
    ByOptions(Access, fn(&Request) -> Access),
}

impl KeyAccess {
    /// See [`Access::LOOK`].
    pub const LOOK: KeyAccess = KeyAccess::All(Access::LOOK);
    /// See [`Access::READ_UPDATE`].
    pub const READ_UPDATE: KeyAccess = KeyAccess::All(Access::READ_UPDATE);
    /// See [`Access::TAKE`].
    pub const TAKE: KeyAccess = KeyAccess::All(Access::TAKE);
    /// See [`Access::DELETE`].
    pub const DELETE: KeyAccess = KeyAccess::All(Access::DELETE);
    /// See [`Access::INSERT`].
    pub const INSERT: KeyAccess = KeyAccess::All(Access::INSERT);
    /// See [`Access::DERIVE`].
    pub const DERIVE: KeyAccess = KeyAccess::All(Access::DERIVE);
    /// See [`Access::OVERWRITE`].
    pub const OVERWRITE: KeyAccess = KeyAccess::All(Access::OVERWRITE);
    /// See [`Access::CREATE`].
    pub const CREATE: KeyAccess = KeyAccess::All(Access::CREATE);
    /// See [`Access::REMOVE`].
    pub const REMOVE: KeyAccess = KeyAccess::All(Access::REMOVE);
    /// No keys, though the slot is theirs.
    pub const NO_KEYS: KeyAccess = KeyAccess::All(Access::NO_KEY);
    /// The first is replaced by what comes of the others.
    pub const STORE: KeyAccess = KeyAccess::FirstAndOthers(Access::OVERWRITE, Access::READ);
    /// From the first to the second.
    pub const MOVE: KeyAccess = KeyAccess::FirstAndOthers(Access::TAKE, Access::INSERT);
    /// The first is read, and what comes of it replaces the other.
    pub const READ_AND_STORE: KeyAccess = KeyAccess::FirstAndOthers(Access::READ, Access::OVERWRITE);

    /// For the first key and for the others, as COMMAND describes the command.
    pub const fn described(self, flags: Flags) -> [Access; 2] {
        match self {
            KeyAccess::ByFlags if flags.has(Flags::WRITE) => [Access::UPDATE, Access::UPDATE],
            KeyAccess::ByFlags => [Access::READ, Access::READ],
            KeyAccess::All(access) => [access, access],
            KeyAccess::FirstAndOthers(first, others) => [first, others],
            KeyAccess::ByOptions(most, _) => [most.or(Access::VARIABLE), most.or(Access::VARIABLE)],
        }
    }

    /// For the first key and for the others of this request.
    pub fn of(self, flags: Flags, request: &Request) -> [Access; 2] {
        match self {
            KeyAccess::ByOptions(_, of) => [of(request); 2],
            fixed => fixed.described(flags),
        }
    }
}
