//! GEOPOS, GEOHASH and GEODIST: where members are.

use haypile_resp::Request;

use super::cell::{Position, distance};
use super::{args, format};
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::zset::{find, score_of};
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Named, Outcome, SPEC, Spec};

pub(super) const GEOPOS: Spec = Spec {
    name: "geopos",
    summary: "Returns the positions of members of a geospatial index.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(N) where N is the number of members requested.",
    arity: -2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key [member [member ...]]",
    named: Named::each(2, 1),
    handler: Handler::Data(geopos),
    ..SPEC
};

pub(super) const GEOHASH: Spec = Spec {
    name: "geohash",
    summary: "Returns the positions of members of a geospatial index as geohash strings.",
    complexity: "O(N) where N is the number of members requested.",
    named: Named::each(2, 1),
    handler: Handler::Data(geohash),
    ..GEOPOS
};

pub(super) const GEODIST: Spec = Spec {
    name: "geodist",
    summary: "Returns the distance between two members of a geospatial index.",
    complexity: "O(1)",
    arity: -4,
    syntax: "key member1 member2 [M|KM|FT|MI]",
    named: Named::each(2, 1),
    handler: Handler::Data(geodist),
    ..GEOPOS
};

fn position_of(cx: &Cx<'_>, zset: Option<&Collection>, member: &[u8]) -> Result<Option<Position>, CommandError> {
    match zset {
        Some(zset) => Ok(score_of(cx, zset, member)?.map(Position::of_score)),
        None => Ok(None),
    }
}

fn geopos(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let zset = find(cx, &request[1])?;
    cx.reply.array(request.len() - 2);
    for member in request.iter().skip(2) {
        match position_of(cx, zset.as_ref(), member)? {
            Some(position) => format::position(cx.reply, position),
            None => cx.reply.null_array(),
        }
    }
    Ok(())
}

fn geohash(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let zset = find(cx, &request[1])?;
    cx.reply.array(request.len() - 2);
    for member in request.iter().skip(2) {
        match position_of(cx, zset.as_ref(), member)? {
            Some(position) => cx.reply.bulk(&position.text()),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn geodist(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let unit_m = match request.get(4) {
        None => 1.0,
        Some(_) if request.len() > 5 => return Err(SYNTAX),
        Some(unit) => args::unit(unit)?,
    };
    let zset = find(cx, &request[1])?;
    let a = position_of(cx, zset.as_ref(), &request[2])?;
    let b = position_of(cx, zset.as_ref(), &request[3])?;
    match a.zip(b) {
        Some((a, b)) => format::distance(cx.reply, distance(a, b) / unit_m),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_resp::Version;

    use crate::testing::Bench;

    #[test]
    fn members_have_positions_and_distances() {
        let mut bench = Bench::new();
        bench.run("geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        assert_eq!(
            bench.run("geopos g Palermo x"),
            "*2|*2|$20|13.36138933897018433|$20|38.11555639549629859|*-1|"
        );
        assert_eq!(
            bench.run("geohash g Palermo Catania x"),
            "*3|$11|sqc8b49rny0|$11|sqdtr74hyu0|$-1|"
        );
        assert_eq!(bench.run("geodist g Palermo Catania"), "$11|166274.1516|");
        assert_eq!(bench.run("geodist g Palermo Catania km"), "$8|166.2742|");
        assert_eq!(bench.run("geodist g Palermo Catania mi"), "$8|103.3182|");
        assert_eq!(bench.run("geodist g Palermo Palermo"), "$6|0.0000|");
        assert_eq!(bench.run("geodist g Palermo x"), "$-1|");
        assert_eq!(bench.run("geodist nothing a b"), "$-1|");
        assert_eq!(
            bench.run("geodist g a b parsec"),
            "-ERR unsupported unit provided. please use M, KM, FT, MI|"
        );
        assert_eq!(bench.run("geodist g a b m m"), "-ERR syntax error|");
        assert_eq!(bench.run("geopos g"), "*0|");
        assert_eq!(bench.run("geopos nothing x"), "*1|*-1|");
        bench.version = Version::Resp3;
        assert_eq!(
            bench.run("geopos g Palermo x"),
            "*2|*2|,13.36138933897018433|,38.11555639549629859|_|"
        );
    }
}
