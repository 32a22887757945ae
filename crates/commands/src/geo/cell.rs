//! Geohash cells and distances.
//!
//! The world is cut into 2^step columns of longitude and 2^step rows of latitude. A cell's hash interleaves the bits of
//! its column and row, a column's bit before the row's, so that the hashes of a cell's parts follow one another. With 26
//! steps the hash has 52 bits, which a score keeps exactly.
//!
//! The constants and the order in which the floating-point operations are done are Redis', so that positions and
//! distances have the same digits.

/// Degrees of longitude, to the west and to the east.
pub(super) const LONGITUDE_MAX: f64 = 180.0;
/// Degrees of latitude that EPSG:3857 maps, to the south and to the north. The poles cannot be stored.
pub(super) const LATITUDE_MAX: f64 = 85.051_128_78;
/// Steps of a stored position.
pub(super) const STEPS: u32 = 26;
/// The radius of the sphere on which distances are measured, meters.
pub(super) const EARTH_RADIUS_M: f64 = 6_372_797.560856;

const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// A place on earth, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// One of the cells of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    column: u32,
    row: u32,
    step: u32,
}

/// The bounds of a cell, degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

impl Position {
    /// The position of a member with this score: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Position {
        let area = Cell::of_hash(score as i64 as u64, STEPS).area();
        let middle = |low: f64, high: f64, max: f64| ((low + high) / 2.0).clamp(-max, max);
        Position {
            longitude: middle(area.west, area.east, LONGITUDE_MAX),
            latitude: middle(area.south, area.north, LATITUDE_MAX),
        }
    }

    /// The score under which the position is stored.
    pub(super) fn score(self) -> f64 {
        Cell::around(self, STEPS, LATITUDE_MAX).hash() as f64
    }

    /// The geohash that other programs know, in its base-32 text of 11 characters.
    pub(super) fn text(self) -> [u8; 11] {
        const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // That one has rows up to the poles.
        let hash = Cell::around(self, STEPS, 90.0).hash();
        let mut text = [DIGITS[0]; 11];
        // 52 bits are 10 digits; the last digit is always 0, as in Redis.
        for (i, digit) in text.iter_mut().take(10).enumerate() {
            *digit = DIGITS[(hash >> (47 - 5 * i)) as usize & 31];
        }
        text
    }
}

impl Cell {
    /// The cell that a position is in; rows go up to the latitude `latitude_max`. The easternmost meridian and the
    /// northernmost parallel are in a column and a row of their own beyond the last, as in Redis.
    pub(super) fn around(position: Position, step: u32, latitude_max: f64) -> Cell {
        let index = |value: f64, max: f64| {
            let fraction = (value + max) / (max + max);
            (fraction * (1u64 << step) as f64) as u32
        };
        Cell {
            column: index(position.longitude, LONGITUDE_MAX),
            row: index(position.latitude, latitude_max),
            step,
        }
    }

    fn of_hash(hash: u64, step: u32) -> Cell {
        Cell {
            column: every_other(hash >> 1),
            row: every_other(hash),
            step,
        }
    }

    pub(super) fn hash(self) -> u64 {
        spaced(self.column) << 1 | spaced(self.row)
    }

    /// The scores of the positions in this cell: from the first up to but not including the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.step);
        ((self.hash() << shift) as f64, ((self.hash() + 1) << shift) as f64)
    }

    pub(super) fn area(self) -> Area {
        let at = |index: u32, max: f64| -max + f64::from(index) / (1u64 << self.step) as f64 * (max + max);
        Area {
            west: at(self.column, LONGITUDE_MAX),
            east: at(self.column.wrapping_add(1), LONGITUDE_MAX),
            south: at(self.row, LATITUDE_MAX),
            north: at(self.row.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The cell so many columns to the east and rows to the north, around the world.
    pub(super) fn neighbor(self, east: i32, north: i32) -> Cell {
        let moved = |index: u32, by: i32| match by {
            0 => index,
            by => index.wrapping_add_signed(by) & ((1 << self.step) - 1),
        };
        Cell {
            column: moved(self.column, east),
            row: moved(self.row, north),
            step: self.step,
        }
    }
}

/// Puts a zero before each bit.
fn spaced(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// The bits 0, 2, 4 and so on, together.
fn every_other(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * DEGREE
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / DEGREE
}

/// Meters along a meridian.
pub(super) fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (radians(b) - radians(a)).abs()
}

/// Meters between two positions on a great circle, by the haversine formula.
pub(super) fn distance(a: Position, b: Position) -> f64 {
    let across = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if across == 0.0 {
        return latitude_distance(a.latitude, b.latitude);
    }
    let (from, to) = (radians(a.latitude), radians(b.latitude));
    let along = ((to - from) / 2.0).sin();
    let haversine = along * along + from.cos() * to.cos() * across * across;
    2.0 * EARTH_RADIUS_M * haversine.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_have_the_scores_of_redis() {
        let palermo = Position {
            longitude: 13.361389,
            latitude: 38.115556,
        };
        assert_eq!(palermo.score(), 3479099956230698.0);
        let read = Position::of_score(3479099956230698.0);
        assert_eq!(
            format!("{:.17} {:.17}", read.longitude, read.latitude),
            "13.36138933897018433 38.11555639549629859"
        );
        assert_eq!(&read.text(), b"sqc8b49rny0");
    }

    proptest! {
        #[test]
        fn hashes_come_apart_again(column: u32, row: u32) {
            let cell = Cell { column, row, step: 32 };
            prop_assert_eq!(Cell::of_hash(cell.hash(), 32), cell);
        }

        #[test]
        fn a_position_is_in_its_cell(longitude in -180.0..180.0, latitude in -85.05..85.05, step in 1u32..=26) {
            let position = Position { longitude, latitude };
            let cell = Cell::around(position, step, LATITUDE_MAX);
            let area = cell.area();
            prop_assert!(area.west <= longitude + 1e-9 && longitude <= area.east + 1e-9);
            prop_assert!(area.south <= latitude + 1e-9 && latitude <= area.north + 1e-9);
            let (low, high) = cell.scores();
            prop_assert!(low <= position.score() && position.score() < high);
            let read = Position::of_score(position.score());
            prop_assert!(distance(position, read) < 1.0);
        }
    }
}
