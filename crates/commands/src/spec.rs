//! A command described as data: the table from which COMMAND, its docs, key extraction and the README's list come.

use haypile_resp::Request;

use crate::args::is;
use crate::categories::Categories;
use crate::key_access::KeyAccess;
use crate::named::Named;
use crate::{Cx, Outcome};

/// What a command is and does. Fields mean what COMMAND and COMMAND DOCS mean by them.
pub struct Spec {
    /// Lower case; a subcommand has its own name only (`get` in `config`).
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Redis' version that has it first.
    pub since: &'static str,
    /// The family it belongs to.
    pub group: Group,
    /// As in Redis' documentation.
    pub complexity: &'static str,
    /// Number of arguments with the name; negative: at least.
    pub arity: i32,
    /// See [`Flags`].
    pub flags: Flags,
    /// Which arguments are keys.
    pub keys: Keys,
    /// What it does with them.
    pub access: KeyAccess,
    /// Which arguments name elements of the collection at its first key, as far as that is known without looking at others.
    pub named: Named,
    /// Which arguments are channels that it sends to or listens to.
    pub channels: Channels,
    /// The categories that stand for it in access rules, if they are others than that of its group; those that follow from
    /// its flags come on top: [`Spec::all_categories`].
    pub categories: Option<Categories>,
    /// The arguments in the notation of `redis-cli`'s help: `key value [NX|XX]`.
    pub syntax: &'static str,
    /// Who carries it out.
    pub handler: Handler,
    /// For a container of commands: what it contains.
    pub subcommands: &'static [Spec],
}

impl Spec {
    /// True if a request of this many arguments, the name among them, fits the arity.
    pub fn admits(&self, arguments: usize) -> bool {
        let (given, arity) = (arguments as i64, i64::from(self.arity));
        if arity >= 0 { given == arity } else { given >= -arity }
    }

    /// True for what only holds other commands.
    pub const fn is_container(&self) -> bool {
        matches!(self.handler, Handler::Container)
    }
}

/// Families of commands, as COMMAND DOCS names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum Group {
    Generic,
    String,
    Bitmap,
    List,
    Set,
    SortedSet,
    Hash,
    Hyperloglog,
    Geo,
    Pubsub,
    Transactions,
    Scripting,
    Connection,
    Server,
    Cluster,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }
}

/// A set of a command's properties; names as in COMMAND.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:expr, $text:expr;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*

            /// The names of the flags that are set, as COMMAND shows them.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Flags::$name, $text)),*]
                    .into_iter()
                    .filter(move |(flag, text)| self.has(*flag) && !text.is_empty())
                    .map(|(_, text)| text)
            }
        }
    };
}

flags! {
    /// May change data: evaluated by the partition's writer.
    WRITE = 0, "write";
    /// Reads keys and changes nothing.
    READONLY = 1, "readonly";
    /// Refused while writes are refused for want of space.
    DENYOOM = 2, "denyoom";
    /// For operators.
    ADMIN = 3, "admin";
    /// Pub/sub.
    PUBSUB = 4, "pubsub";
    /// Not from scripts.
    NOSCRIPT = 5, "noscript";
    /// May wait for a key.
    BLOCKING = 6, "blocking";
    /// While the data set is being loaded.
    LOADING = 7, "loading";
    /// On a replica whose link is down.
    STALE = 8, "stale";
    /// Not shown by MONITOR.
    SKIP_MONITOR = 9, "skip_monitor";
    /// Not shown by SLOWLOG.
    SKIP_SLOWLOG = 10, "skip_slowlog";
    /// Constant or logarithmic time: reads at most a few keys. Without it, a reading command sees a snapshot.
    FAST = 11, "fast";
    /// Before authentication.
    NO_AUTH = 12, "no_auth";
    /// Keys depend on the arguments.
    MOVABLEKEYS = 13, "movablekeys";
    /// Allowed between a client's WATCH of a busy server.
    ALLOW_BUSY = 14, "allow_busy";
    /// Not within MULTI.
    NO_MULTI = 15, "no_multi";
    /// Not over many databases or asynchronously.
    NO_ASYNC_LOADING = 16, "no_async_loading";
    /// Reads, but keeps what it computed with the value where it can (PFCOUNT): where writes are possible it is
    /// evaluated by the partition's writer, elsewhere as any reading command. COMMAND does not show it.
    MAY_REPLICATE = 17, "";
}

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// Both sets together.
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// True if all flags of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which arguments of a command are channels, as far as access rules speak of them: whoever listens may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// None.
    None,
    /// The first argument.
    First,
    /// All arguments.
    All,
    /// All arguments, and they are patterns.
    Patterns,
}

/// Which arguments of a command are keys.
#[derive(Clone, Copy)]
pub enum Keys {
    /// None.
    None,
    /// From `first` to `last` (negative: from the end) in steps of `step`.
    Range {
        /// Index of the first key.
        first: usize,
        /// Index of the last key; -1 is the last argument.
        last: i32,
        /// Distance between keys.
        step: usize,
    },
    /// Argument `count_at` says how many keys follow it; `also` is a key that stands before, such as a destination.
    Counted {
        /// Index of the number of keys.
        count_at: usize,
        /// Index of one more key.
        also: Option<usize>,
    },
    /// The first argument, and the one behind the last of these words, wherever it stands: `STORE destination`.
    FirstAndBehind {
        /// In any case.
        words: &'static [&'static str],
        /// Index of the first argument that may be one of them.
        from: usize,
    },
}

impl Keys {
    /// The first argument is the only key.
    pub const ONE: Keys = Keys::Range {
        first: 1,
        last: 1,
        step: 1,
    };
    /// The first two arguments are the keys.
    pub const TWO: Keys = Keys::Range {
        first: 1,
        last: 2,
        step: 1,
    };
    /// All arguments are keys.
    pub const ALL: Keys = Keys::Range {
        first: 1,
        last: -1,
        step: 1,
    };

    /// True for a command with exactly one key, at a fixed place.
    pub fn is_one(self) -> bool {
        matches!(self, Keys::Range { first, last, .. } if last == first as i32)
    }

    /// The first key of a request.
    pub fn first_of(self, request: &Request) -> Option<&[u8]> {
        match self {
            Keys::Range { first, .. } => request.get(first),
            _ => self.of(request).first().and_then(|&i| request.get(i)),
        }
    }

    /// First, last and step as COMMAND shows them.
    pub fn legacy(self) -> (i64, i64, i64) {
        match self {
            Keys::None => (0, 0, 0),
            Keys::FirstAndBehind { .. } => (1, 1, 1),
            Keys::Range { first, last, step } => (first as i64, i64::from(last), step as i64),
            Keys::Counted { also: Some(also), .. } => (also as i64, also as i64, 1),
            Keys::Counted { .. } => (0, 0, 0),
        }
    }

    /// Calls `each` with the keys, if they stand where the request alone says: cheaper than [`Keys::of`].
    pub fn for_each_plain<'r>(self, request: &'r Request, mut each: impl FnMut(&'r [u8])) {
        if let Keys::Range { first, last, step } = self {
            let end = match last {
                last if last < 0 => (request.len() as i64 + i64::from(last) + 1).max(0) as usize,
                last => (last as usize + 1).min(request.len()),
            };
            (first..end).step_by(step.max(1)).for_each(|at| each(&request[at]));
        }
    }

    /// The indexes of a request's keys. Empty where the arguments do not make sense.
    pub fn of(self, request: &Request) -> Vec<usize> {
        let mut indexes = Vec::new();
        self.each(request, |at| indexes.push(at));
        indexes
    }

    /// Calls `visit` with the indexes that [`Keys::of`] gives, in the same order.
    pub fn each(self, request: &Request, mut visit: impl FnMut(usize)) {
        match self {
            Keys::None => {}
            Keys::Range { first, last, step } => {
                let last = if last < 0 {
                    request.len() as i64 + i64::from(last)
                } else {
                    i64::from(last)
                };
                (first..request.len())
                    .step_by(step.max(1))
                    .take_while(|&i| i as i64 <= last)
                    .for_each(visit);
            }
            Keys::Counted { count_at, also } => {
                let count = request.get(count_at).and_then(haypile_resp::parse_i64).unwrap_or(0);
                let left = request.len().saturating_sub(count_at + 1);
                if let Ok(count) = usize::try_from(count)
                    && count > 0
                    && count <= left
                {
                    also.into_iter()
                        .chain(count_at + 1..count_at + 1 + count)
                        .for_each(visit);
                }
            }
            Keys::FirstAndBehind { words, from } => {
                let mut behind = None;
                let mut at = from;
                while at + 1 < request.len() {
                    if words.iter().any(|word| is(&request[at], word)) {
                        // What stands behind the word is a key, even if it reads like another word.
                        at += 1;
                        behind = Some(at);
                    }
                    at += 1;
                }
                if request.len() > 1 {
                    visit(1);
                }
                behind.into_iter().for_each(visit);
            }
        }
    }
}

/// Who carries a command out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// This crate: reads and writes keys through [`Cx`] and nothing else.
    Data(fn(&mut Cx<'_>, &Request) -> Outcome),
    /// The server: it concerns connections, transactions, pub/sub or the process.
    Server,
    /// Nobody: it only holds subcommands.
    Container,
}

/// What most specs have; the table's entries change what differs.
pub const SPEC: Spec = Spec {
    name: "",
    summary: "",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: 1,
    flags: Flags::NONE,
    keys: Keys::None,
    access: KeyAccess::ByFlags,
    named: Named::NONE,
    channels: Channels::None,
    categories: None,
    syntax: "",
    handler: Handler::Container,
    subcommands: &[],
};

/// Flags of a command that reads a few keys: `readonly fast`.
pub const READ_FAST: Flags = Flags::READONLY.or(Flags::FAST);
/// Flags of a command that reads as much as it finds: `readonly`.
pub const READ: Flags = Flags::READONLY;
/// Flags of a command that adds data in constant time: `write denyoom fast`.
pub const WRITE_FAST: Flags = Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST);
/// Flags of a command that adds data: `write denyoom`.
pub const WRITE: Flags = Flags::WRITE.or(Flags::DENYOOM);
/// Flags of a command that only removes data: `write`.
pub const REMOVE: Flags = Flags::WRITE;
/// Flags of a command that only removes data, in constant time: `write fast`.
pub const REMOVE_FAST: Flags = Flags::WRITE.or(Flags::FAST);
