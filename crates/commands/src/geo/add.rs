//! GEOADD.

use haypile_resp::Request;

use super::args::position;
use crate::error::SYNTAX;
use crate::spec::WRITE;
use crate::zset::{AddOptions, add};
use crate::{Cx, Group, Handler, Keys, Named, Outcome, SPEC, Spec, args};

pub(super) const GEOADD: Spec = Spec {
    name: "geoadd",
    summary: "Adds positions to a geospatial index, or moves members that are there.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    arity: -5,
    flags: WRITE,
    keys: Keys::ONE,
    syntax: "key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]",
    named: Named::each(4, 3),
    handler: Handler::Data(geoadd),
    ..SPEC
};

fn geoadd(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let mut options = AddOptions::default();
    let mut first = 2;
    while let Some(arg) = request.get(first) {
        let option = match arg {
            arg if args::is(arg, "NX") => &mut options.only_new,
            arg if args::is(arg, "XX") => &mut options.only_existing,
            arg if args::is(arg, "CH") => &mut options.count_changed,
            _ => break,
        };
        *option = true;
        first += 1;
    }
    let left = request.len() - first;
    if left == 0 || !left.is_multiple_of(3) || (options.only_new && options.only_existing) {
        return Err(SYNTAX);
    }
    let mut items = Vec::with_capacity(left / 3);
    for at in (first..request.len()).step_by(3) {
        items.push((position(&request[at], &request[at + 1])?.score(), &request[at + 2]));
    }
    add(cx, &request[1], &items, options)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn geoadd_is_a_zadd_of_hashes() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            assert_eq!(bench.run("geoadd g 13.361389 38.115556 p 15.087269 37.502669 c"), ":2|");
            assert_eq!(bench.heard, ["new g", "ready g", "zadd g"]);
            assert_eq!(
                bench.run("zrange g 0 -1 withscores"),
                "*4|$1|p|$16|3479099956230698|$1|c|$16|3479447370796909|"
            );
            assert_eq!(bench.run("geoadd g xx ch 1 1 p 2 2 new"), ":1|");
            assert_eq!(bench.run("geoadd g nx 3 3 p"), ":0|");
            assert_eq!(bench.run("zcard g"), ":2|");
        }
    }

    #[test]
    fn geoadd_refuses_what_is_not_on_the_map() {
        let mut bench = Bench::new();
        for (line, text) in [
            (
                "geoadd g 181 0 a",
                "ERR invalid longitude,latitude pair 181.000000,0.000000",
            ),
            (
                "geoadd g 0 85.06 a",
                "ERR invalid longitude,latitude pair 0.000000,85.060000",
            ),
            ("geoadd g 1 1 a x 1 b", "ERR value is not a valid float"),
            ("geoadd g 1 1 a 1", "ERR syntax error"),
            ("geoadd g nx xx 1 1 a", "ERR syntax error"),
            ("geoadd g nx ch nx", "ERR syntax error"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
        assert_eq!(bench.run("zcard g"), ":0|");
    }
}
