//! Which arguments of a command name elements of a collection, and what that is good for: elements that several commands name are
//! fetched into the processor's cache together.

use haypile_resp::Request;
use haypile_store::keys::MetaKey;
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, FETCHED_AHEAD, Reading, Tier, View};

use crate::collection::{DataKey, OwnRows};
use crate::{Spec, set, zset};

/// Elements that are fetched together at most.
const ELEMENTS_MAX: usize = 2 * FETCHED_AHEAD;

/// Arguments that name elements: fields or members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    first: usize,
    step: usize,
}

impl Named {
    /// None does.
    pub const NONE: Named = Named::one(usize::MAX);

    /// The argument with this index.
    pub const fn one(at: usize) -> Self {
        Named::each(at, usize::MAX)
    }

    /// Those from this index on, in steps.
    pub const fn each(first: usize, step: usize) -> Self {
        Named { first, step }
    }

    /// The names in a request.
    pub fn of(self, request: &Request) -> impl Iterator<Item = &[u8]> {
        (self.first..request.len()).step_by(self.step).map(|at| &request[at])
    }
}

/// Has the processor fetch what looking up the elements will touch that these commands name, all at once instead of one after another.
/// It is for commands on one key: those of others than the first are left out. Nothing is fetched of a packed collection, whose elements
/// stand together.
pub fn fetch_elements_ahead<'r>(
    reading: &Reading<'_>,
    db: u16,
    commands: impl Iterator<Item = (&'static Spec, &'r Request)> + Clone,
) {
    let mut naming = commands.filter(|(spec, _)| spec.named != Named::NONE).peekable();
    let first = naming.peek().and_then(|(spec, request)| spec.keys.first_of(request));
    let view = View::reading(reading, Tier::Memory);
    let (Some(key), true) = (first, db < view.databases()) else {
        return;
    };
    let space = view.space(db);
    let row = view.row_in_memory(&MetaKey::new(space, key));
    let header = row.and_then(|row| Some(Header::read(&row)?.0));
    let Some((home, kind)) = header.and_then(|header| Some((header.home?, header.kind))) else {
        return;
    };
    let rows = OwnRows::new(home, kind);
    let of_key = naming.filter(|(spec, request)| spec.keys.first_of(request) == Some(key));
    let names = of_key.flat_map(|(spec, request)| spec.named.of(request));
    let keys = names.filter_map(|name| data_key(&rows, kind, name));
    view.prefetch(space, Cf::Data, keys.take(ELEMENTS_MAX));
}

/// The data key of the element that a command calls so.
fn data_key(rows: &OwnRows, kind: Kind, name: &[u8]) -> Option<DataKey> {
    match kind {
        Kind::Hash => Some(rows.data_key(name)),
        Kind::Set => Some(rows.data_key(set::Name::default().of(name))),
        Kind::Zset => Some(rows.data_key(&zset::member_key(name))),
        Kind::String | Kind::List | Kind::Stream => None,
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::Request;

    use super::*;
    use crate::table;
    use crate::testing::Bench;

    #[test]
    fn names_stand_where_the_syntax_says() {
        for (line, expected) in [
            ("sadd k a b", &["a", "b"][..]),
            ("smove k l a", &[]),
            ("hset k f 1 g 2", &["f", "g"]),
            ("hsetnx k f 1", &["f"]),
            ("hmget k f g", &["f", "g"]),
            ("hlen k", &[]),
            ("zadd k 1 a 2 b", &["a", "b"]),
            ("zincrby k 1 a", &["a"]),
            ("zrank k a withscore", &["a"]),
            ("geoadd k 1 2 a 3 4 b", &["a", "b"]),
            ("get k", &[]),
        ] {
            let request = Request::from_args(line.split(' '));
            let spec = table::resolve(&request).unwrap().spec;
            let names: Vec<&[u8]> = spec.named.of(&request).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(names, expected, "{line}");
        }
    }

    /// Whatever the key is, and whatever the commands are.
    #[test]
    fn what_is_fetched_changes_nothing() {
        let mut bench = Bench::new();
        bench.fill_set("s", 2000);
        bench.run("rpush l a");
        bench.run("set k v");
        bench.run("sadd small a");
        let requests: Vec<Request> = ["s", "l", "k", "small", "none"]
            .iter()
            .flat_map(|key| {
                [
                    format!("sismember {key} 7"),
                    format!("hget {key} "),
                    format!("get {key}"),
                ]
            })
            .map(|line| Request::from_args(line.split(' ')))
            .collect();
        bench.read(|reading| {
            for start in 0..requests.len() {
                let commands = requests[start..]
                    .iter()
                    .map(|request| (table::resolve(request).unwrap().spec, request));
                fetch_elements_ahead(reading, 0, commands.clone());
                fetch_elements_ahead(reading, 99, commands);
            }
        });
        assert_eq!(bench.run("sismember s 7"), ":1|");
        assert_eq!(bench.run("scard s"), ":2000|");
    }
}
