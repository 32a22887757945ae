//! The shapes that are searched, and the cells that cover them.

use super::cell::{Cell, EARTH_RADIUS_M, LATITUDE_MAX, Position, STEPS, degrees, distance, latitude_distance, radians};

/// Half of the equator's length on the map, meters.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

/// What is searched, around a position. Lengths are in the client's unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A shape at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) center: Position,
    pub(super) shape: Shape,
    /// Meters in the client's unit.
    pub(super) unit_m: f64,
}

impl Search {
    /// The distance of a position from the center in meters, if it is within the shape.
    pub(super) fn distance_within(&self, position: Position) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                Some(distance(self.center, position)).filter(|&distance| distance <= radius * self.unit_m)
            }
            Shape::Box { width, height } => {
                let along = latitude_distance(position.latitude, self.center.latitude);
                if along > height * self.unit_m / 2.0 {
                    return None;
                }
                let beside = Position {
                    longitude: self.center.longitude,
                    latitude: position.latitude,
                };
                if distance(position, beside) > width * self.unit_m / 2.0 {
                    return None;
                }
                Some(distance(self.center, position))
            }
        }
    }

    /// Half of the height and of the width, and the distance of the farthest point, meters.
    fn extent(&self) -> (f64, f64, f64) {
        match self.shape {
            Shape::Circle { radius } => {
                let radius = self.unit_m * radius;
                (radius, radius, radius)
            }
            Shape::Box { width, height } => {
                let (up, aside) = (height / 2.0, width / 2.0);
                let corner = (aside * aside + up * up).sqrt() * self.unit_m;
                (self.unit_m * up, self.unit_m * aside, corner)
            }
        }
    }

    /// Cells that together cover the shape: the center's and those around it that are needed, each once, in the order
    /// in which Redis goes through them.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let Position { longitude, latitude } = self.center;
        let (up, aside, reach) = self.extent();
        let rise = degrees(up / EARTH_RADIUS_M);
        // The edge that is nearer to a pole spans more degrees.
        let edge = if latitude < 0.0 {
            latitude - rise
        } else {
            latitude + rise
        };
        let span = degrees(aside / EARTH_RADIUS_M / radians(edge).cos());
        let (west, east) = (longitude - span, longitude + span);
        let (south, north) = (latitude - rise, latitude + rise);

        let mut step = step_for(reach, latitude);
        let mut cell = Cell::around(self.center, step, LATITUDE_MAX);
        let too_small = cell.neighbor(0, 1).area().north < north
            || cell.neighbor(0, -1).area().south > south
            || cell.neighbor(1, 0).area().east < east
            || cell.neighbor(-1, 0).area().west > west;
        if step > 1 && too_small {
            step -= 1;
            cell = Cell::around(self.center, step, LATITUDE_MAX);
        }

        let area = cell.area();
        let needed = |x: i32, y: i32| {
            step < 2
                || !((y < 0 && area.south < south)
                    || (y > 0 && area.north > north)
                    || (x < 0 && area.west < west)
                    || (x > 0 && area.east > east))
        };
        let mut cells = vec![cell];
        for (x, y) in [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
            let neighbor = cell.neighbor(x, y);
            // With few cells around the world the neighbors on two sides are the same.
            if needed(x, y) && !cells[1..].contains(&neighbor) {
                cells.push(neighbor);
            }
        }
        cells
    }
}

/// How small cells may be so that nine of them cover a reach around a latitude.
fn step_for(mut reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS;
    }
    let mut step = 1;
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        step += 1;
    }
    step -= 2;
    // Cells get narrow towards the poles.
    if latitude.abs() > 66.0 {
        step -= 1;
    }
    if latitude.abs() > 80.0 {
        step -= 1;
    }
    step.clamp(1, STEPS as i32) as u32
}
