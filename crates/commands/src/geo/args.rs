//! Arguments that several commands of the family have.

use haypile_resp::parse_f64;

use super::cell::{LATITUDE_MAX, LONGITUDE_MAX, Position};
use crate::{CommandError, args};

/// A longitude and a latitude.
pub(super) fn position(longitude: &[u8], latitude: &[u8]) -> Result<Position, CommandError> {
    let (longitude, latitude) = (args::float(longitude)?, args::float(latitude)?);
    if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
        return Err(CommandError::reply(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        )));
    }
    Ok(Position { longitude, latitude })
}

/// Meters in a unit.
pub(super) fn unit(arg: &[u8]) -> Result<f64, CommandError> {
    match arg {
        unit if args::is(unit, "M") => Ok(1.0),
        unit if args::is(unit, "KM") => Ok(1000.0),
        unit if args::is(unit, "FT") => Ok(0.3048),
        unit if args::is(unit, "MI") => Ok(1609.34),
        _ => Err(CommandError::reply(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        )),
    }
}

/// A radius and the meters in its unit.
pub(super) fn radius(radius: &[u8], unit_arg: &[u8]) -> Result<(f64, f64), CommandError> {
    let radius = parse_f64(radius).ok_or_else(|| CommandError::reply("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(CommandError::reply("ERR radius cannot be negative"));
    }
    Ok((radius, unit(unit_arg)?))
}

/// Width and height of a box, and the meters in their unit.
pub(super) fn sides(width: &[u8], height: &[u8], unit_arg: &[u8]) -> Result<(f64, f64, f64), CommandError> {
    let width = parse_f64(width).ok_or_else(|| CommandError::reply("ERR need numeric width"))?;
    let height = parse_f64(height).ok_or_else(|| CommandError::reply("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::reply("ERR height or width cannot be negative"));
    }
    Ok((width, height, unit(unit_arg)?))
}
