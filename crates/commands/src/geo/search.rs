//! GEOSEARCH, GEORADIUS and their kin: members within an area.

use haypile_resp::Request;
use haypile_store::Direction;

use super::cell::Position;
use super::format;
use super::query::{Form, Query, Sort};
use super::shape::Search;
use crate::spec::{READ, WRITE};
use crate::zset::{ScoreRange, Span, find, replace, walk};
use crate::{Collection, CommandError, Cx, Flags, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

const COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the \
     shape provided as the filter and M is the number of items inside the shape";

pub(super) const GEOSEARCH: Spec = Spec {
    name: "geosearch",
    summary: "Returns the members of a geospatial index within a circle or a box.",
    since: "6.2.0",
    group: Group::Geo,
    complexity: COMPLEXITY,
    arity: -7,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height \
         <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    handler: Handler::Data(|cx, request| search(cx, request, 1, Form::Search)),
    ..SPEC
};

pub(super) const GEOSEARCHSTORE: Spec = Spec {
    name: "geosearchstore",
    summary: "Stores the members of a geospatial index within a circle or a box.",
    arity: -8,
    flags: WRITE,
    keys: Keys::TWO,
    access: KeyAccess::STORE,
    syntax: "destination source <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX \
         width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [STOREDIST]",
    handler: Handler::Data(|cx, request| search(cx, request, 2, Form::SearchStore)),
    ..GEOSEARCH
};

pub(super) const GEORADIUS: Spec = Spec {
    name: "georadius",
    summary: "Returns or stores the members of a geospatial index within a circle around a position.",
    since: "3.2.0",
    arity: -6,
    flags: WRITE.or(Flags::MOVABLEKEYS),
    keys: Keys::FirstAndBehind { words: STORE, from: 6 },
    access: KeyAccess::READ_AND_STORE,
    syntax: "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] \
         [STORE key] [STOREDIST key]",
    handler: Handler::Data(|cx, request| search(cx, request, 1, Form::Radius { store: true })),
    ..GEOSEARCH
};

pub(super) const GEORADIUS_RO: Spec = Spec {
    name: "georadius_ro",
    summary: "Returns the members of a geospatial index within a circle around a position.",
    since: "3.2.10",
    arity: -6,
    syntax: "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
    handler: Handler::Data(|cx, request| search(cx, request, 1, Form::Radius { store: false })),
    ..GEOSEARCH
};

pub(super) const GEORADIUSBYMEMBER: Spec = Spec {
    name: "georadiusbymember",
    summary: "Returns or stores the members of a geospatial index within a circle around one of them.",
    arity: -5,
    keys: Keys::FirstAndBehind { words: STORE, from: 5 },
    access: KeyAccess::READ_AND_STORE,
    syntax: "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] \
         [STOREDIST key]",
    handler: Handler::Data(|cx, request| search(cx, request, 1, Form::RadiusByMember { store: true })),
    ..GEORADIUS
};

pub(super) const GEORADIUSBYMEMBER_RO: Spec = Spec {
    name: "georadiusbymember_ro",
    summary: "Returns the members of a geospatial index within a circle around one of them.",
    arity: -5,
    syntax: "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
    handler: Handler::Data(|cx, request| search(cx, request, 1, Form::RadiusByMember { store: false })),
    ..GEORADIUS_RO
};

/// Words behind which a destination stands.
const STORE: &[&str] = &["STORE", "STOREDIST"];

/// A member that was found.
struct Point {
    member: Vec<u8>,
    score: f64,
    position: Position,
    /// From the center, meters.
    distance: f64,
}

fn search(cx: &mut Cx<'_>, request: &Request, source: usize, form: Form) -> Outcome {
    let zset = find(cx, &request[source])?;
    let query = Query::parse(cx, request, form, zset.as_ref())?;
    let (points, unit_m) = match (&zset, query.search()) {
        (Some(zset), Some(search)) => (points(cx, zset, &search, &query)?, search.unit_m),
        _ => (Vec::new(), 1.0),
    };
    if let Some(key) = query.store {
        let items: Vec<_> = points
            .into_iter()
            .map(|point| match query.store_distances {
                true => (point.member, point.distance / unit_m),
                false => (point.member, point.score),
            })
            .collect();
        let event = if form == Form::SearchStore {
            KeyEvent::GeoSearchStore
        } else {
            KeyEvent::GeoRadiusStore
        };
        replace(cx, key, &items, event)?;
        cx.reply.integer(items.len() as i64);
        return Ok(());
    }
    let extras = [query.with_distance, query.with_hash, query.with_position];
    let extras = extras.into_iter().filter(|&extra| extra).count();
    cx.reply.array(points.len());
    for point in &points {
        if extras > 0 {
            cx.reply.array(1 + extras);
        }
        cx.reply.bulk(&point.member);
        if query.with_distance {
            format::distance(cx.reply, point.distance / unit_m);
        }
        if query.with_hash {
            cx.reply.integer(point.score as i64);
        }
        if query.with_position {
            format::position(cx.reply, point.position);
        }
    }
    Ok(())
}

/// Points to keep beyond twice COUNT before the farther ones are dropped.
const SPARE_POINTS: usize = 1024;

/// What the query selects, in its order.
fn points(cx: &mut Cx<'_>, zset: &Collection, search: &Search, query: &Query<'_>) -> Result<Vec<Point>, CommandError> {
    let count = query
        .count
        .map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    // COUNT alone asks for the nearest.
    let sort = match query.sort {
        None if query.count.is_some() && !query.any => Some(Sort::Nearest),
        sort => sort,
    };
    let enough = if query.any { count } else { usize::MAX };
    let kept_max = count.saturating_mul(2).saturating_add(SPARE_POINTS);
    let mut points: Vec<Point> = Vec::new();
    for cell in search.cells() {
        let (low, high) = cell.scores();
        let span = Span::of_scores(ScoreRange::half_open(low, high));
        walk(
            cx,
            zset,
            &span,
            Direction::Forward,
            (0, u64::MAX),
            |_, score, member| {
                let position = Position::of_score(score);
                if let Some(distance) = search.distance_within(position) {
                    points.push(Point {
                        member: member.to_vec(),
                        score,
                        position,
                        distance,
                    });
                }
                if let Some(sort) = sort
                    && points.len() >= kept_max
                    && !query.any
                {
                    best(&mut points, count, sort);
                }
                points.len() < enough
            },
        )?;
        if points.len() >= enough {
            break;
        }
    }
    if let Some(sort) = sort {
        best(&mut points, count, sort);
        points.sort_by(|a, b| order(a, b, sort));
    }
    Ok(points)
}

fn order(a: &Point, b: &Point, sort: Sort) -> std::cmp::Ordering {
    let nearest = a.distance.total_cmp(&b.distance);
    if sort == Sort::Nearest {
        nearest
    } else {
        nearest.reverse()
    }
}

/// Keeps the first `count` points of an order.
fn best(points: &mut Vec<Point>, count: usize, sort: Sort) {
    if points.len() > count {
        points.select_nth_unstable_by(count, |a, b| order(a, b, sort));
        points.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::{Request, Version};

    use super::*;
    use crate::testing::Bench;

    fn sicily(apply: bool) -> Bench {
        let mut bench = Bench::new();
        bench.apply = apply;
        bench.run("geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        bench.run("geoadd g 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
        bench
    }

    #[test]
    fn circles_and_boxes_are_searched() {
        for apply in [true, false] {
            let mut bench = sicily(apply);
            for (line, reply) in [
                (
                    "geosearch g fromlonlat 15 37 byradius 200 km asc",
                    "*2|$7|Catania|$7|Palermo|",
                ),
                (
                    "geosearch g fromlonlat 15 37 byradius 200 km desc",
                    "*2|$7|Palermo|$7|Catania|",
                ),
                (
                    "geosearch g fromlonlat 15 37 bybox 400 400 km asc withdist",
                    "*4|*2|$7|Catania|$7|56.4413|*2|$7|Palermo|$8|190.4424|*2|$5|edge2|$8|279.7403|*2|$5|edge1|$8|279.7405|",
                ),
                ("georadius g 15 37 200 km count 1", "*1|$7|Catania|"),
                (
                    "georadius_ro g 15 37 200 km withhash count 1",
                    "*1|*2|$7|Catania|:3479447370796909|",
                ),
                (
                    "georadius g 15 37 100 km withcoord withdist",
                    "*1|*3|$7|Catania|$7|56.4413|*2|$20|15.08726745843887329|$20|37.50266842333162032|",
                ),
                ("georadiusbymember g Palermo 100 km asc", "*2|$7|Palermo|$5|edge1|"),
                ("georadiusbymember_ro g Palermo 0 m", "*1|$7|Palermo|"),
                ("geosearch g frommember Catania byradius 1 m", "*1|$7|Catania|"),
                ("geosearch nothing frommember Catania byradius 1 m", "*0|"),
                ("georadiusbymember nothing a x y", "*0|"),
                ("georadius g 15 37 200 km store s", ":2|"),
                (
                    "zrange s 0 -1 withscores",
                    "*4|$7|Palermo|$16|3479099956230698|$7|Catania|$16|3479447370796909|",
                ),
                (
                    "geosearchstore s g fromlonlat 15 37 byradius 200 km count 1 storedist",
                    ":1|",
                ),
                ("zrange s 0 -1", "*1|$7|Catania|"),
                ("georadius g 15 37 1 m storedist s", ":0|"),
                ("zcard s", ":0|"),
            ] {
                assert_eq!(bench.run(line), reply, "{line}");
            }
        }
    }

    #[test]
    fn events_of_storing() {
        let mut bench = sicily(true);
        bench.run("georadius g 15 37 200 km store s");
        assert_eq!(bench.heard, ["new s", "ready s", "georadiusstore s"]);
        bench.run("geosearchstore s g fromlonlat 15 37 byradius 200 km");
        assert_eq!(bench.heard, ["ready s", "geosearchstore s"]);
        bench.run("geosearchstore s nothing fromlonlat 15 37 byradius 200 km");
        assert_eq!(bench.heard, ["del s"]);
    }

    #[test]
    fn any_takes_what_comes_first_and_count_the_nearest() {
        let mut bench = Bench::new();
        for i in 0..3000 {
            bench.run(&format!(
                "geoadd g {} {} m{i}",
                f64::from(i) / 3000.0,
                f64::from(i) / 3000.0
            ));
        }
        assert_eq!(
            bench.run("geosearch g fromlonlat 0 0 byradius 500 km count 3"),
            "*3|$2|m0|$2|m1|$2|m2|"
        );
        assert_eq!(
            bench.run("geosearch g fromlonlat 0 0 byradius 500 km count 2 desc"),
            "*2|$5|m2999|$5|m2998|"
        );
        assert!(
            bench
                .run("geosearch g fromlonlat 0.5 0.5 byradius 500 km count 7 any")
                .starts_with("*7|")
        );
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let mut bench = sicily(true);
        for (line, text) in [
            (
                "georadius g 181 0 1 m",
                "ERR invalid longitude,latitude pair 181.000000,0.000000",
            ),
            ("georadius g 1 1 x m", "ERR need numeric radius"),
            ("georadius g 1 1 -1 m", "ERR radius cannot be negative"),
            (
                "georadius g 1 1 1 x",
                "ERR unsupported unit provided. please use M, KM, FT, MI",
            ),
            ("georadius g 1 1 1 m count 0", "ERR COUNT must be > 0"),
            ("georadius g 1 1 1 m count", "ERR syntax error"),
            (
                "georadius g 1 1 1 m any",
                "ERR the ANY argument requires COUNT argument",
            ),
            ("georadius_ro g 1 1 1 m store s", "ERR syntax error"),
            (
                "georadius g 1 1 1 m store s withdist",
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
            (
                "geosearchstore s g fromlonlat 1 1 byradius 1 m withhash",
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
            (
                "georadiusbymember g x 1 m",
                "ERR could not decode requested zset member",
            ),
            (
                "geosearch g frommember x byradius 1 m",
                "ERR could not decode requested zset member",
            ),
            (
                "geosearch g fromlonlat 1 1 frommember x byradius 1 m",
                "ERR syntax error",
            ),
            (
                "geosearch g fromlonlat 1 1 byradius 1 m bybox 1 1 m",
                "ERR syntax error",
            ),
            (
                "geosearch g fromlonlat 1 1 bybox 1 -1 m",
                "ERR height or width cannot be negative",
            ),
            ("geosearch g fromlonlat 1 1 bybox 1 x m", "ERR need numeric height"),
            (
                "GeoSearch g fromlonlat 1 1 asc asc",
                "ERR exactly one of BYRADIUS and BYBOX can be specified for GeoSearch",
            ),
            (
                "geosearch g byradius 1 m asc asc",
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
            ),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }

    #[test]
    fn the_key_to_store_under_is_a_key() {
        let request = |line: &str| Request::from_args(line.split(' '));
        let of = |spec: &Spec, line: &str| spec.keys.of(&request(line));
        assert_eq!(of(&GEORADIUS, "georadius g 1 1 1 m"), [1]);
        assert_eq!(of(&GEORADIUS, "georadius g 1 1 1 m store a storedist b"), [1, 9]);
        assert_eq!(
            of(&GEORADIUSBYMEMBER, "georadiusbymember g store 1 m asc store a"),
            [1, 7]
        );
    }

    #[test]
    fn positions_in_resp3_are_doubles() {
        let mut bench = sicily(true);
        bench.version = Version::Resp3;
        assert_eq!(
            bench.run("geosearch g frommember Catania byradius 1 m withcoord withdist"),
            "*1|*3|$7|Catania|$6|0.0000|*2|,15.08726745843887329|,37.50266842333162032|"
        );
    }
}
