//! How a figure grows with the size, and whether that is faster than it should.

use std::fmt;

use crate::report::median;

/// What grows by less than this beyond what it should, over the sizes looked at, passes: few sizes show a slope too easily.
const TIMES_MAX: f64 = 2.0;

/// What a cost should grow like at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Not at all.
    Constant,
    /// As the logarithm of the size.
    Log,
    /// As the size.
    Linear,
}

impl Class {
    /// The exponent that it looks like from 1,000 to a million, and the largest one that passes: the caches of the
    /// processor that a larger collection leaves one after the other add to anything.
    fn exponents(self) -> (f64, f64) {
        match self {
            Self::Constant => (0.0, 0.25),
            Self::Log => (0.1, 0.35),
            Self::Linear => (1.0, 1.25),
        }
    }

    /// Whether a cost grows faster.
    pub fn is_exceeded(self, growth: Growth) -> bool {
        let (expected, max) = self.exponents();
        growth.exponent > max && growth.span.powf(growth.exponent - expected) > TIMES_MAX
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Constant => "constant",
            Self::Log => "log n",
            Self::Linear => "linear",
        })
    }
}

/// How a figure grows.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// It grows with the size to this power.
    pub exponent: f64,
    /// The largest size through the smallest one that were looked at.
    pub span: f64,
}

/// How a figure grows over the larger half of the sizes: the median of the slopes between each two of them, as logarithms
/// (Theil and Sen), which one bad figure does not move. `None` with fewer than three figures above 0.
pub fn growth(points: &[(u64, f64)]) -> Option<Growth> {
    let points: Vec<(f64, f64)> = points
        .iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(size, value)| ((*size as f64).ln(), value.ln()))
        .collect();
    let larger = points.get((points.len() / 2).min(points.len().checked_sub(3)?)..)?;
    let slopes = larger
        .iter()
        .enumerate()
        .flat_map(|(i, (x, y))| larger[i + 1..].iter().map(move |(x2, y2)| (y2 - y) / (x2 - x)));
    Some(Growth {
        exponent: median(slopes)?,
        span: (larger.last()?.0 - larger.first()?.0).exp(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: fn(f64) -> f64) -> Vec<(u64, f64)> {
        (0..11).map(|i| 1000 << i).map(|n: u64| (n, value(n as f64))).collect()
    }

    #[test]
    fn exponents_of_known_growth() {
        let near =
            |value: fn(f64) -> f64, wanted: f64| (growth(&points(value)).unwrap().exponent - wanted).abs() < 0.01;
        assert!(near(|_| 3.0, 0.0));
        assert!(near(|n| 3.0 * n, 1.0));
        assert!(near(|n| n * n, 2.0));
    }

    #[test]
    fn classes() {
        let of = |value: fn(f64) -> f64| growth(&points(value)).unwrap();
        assert!((of(|_| 1.0).span - 32.0).abs() < 0.01);
        assert!(!Class::Constant.is_exceeded(of(|_| 1.0)));
        assert!(!Class::Log.is_exceeded(of(f64::ln)));
        assert!(!Class::Linear.is_exceeded(of(|n| n * n.ln())));
        assert!(Class::Constant.is_exceeded(of(|n| n.sqrt())));
        assert!(Class::Log.is_exceeded(of(|n| n)));
        assert!(Class::Linear.is_exceeded(of(|n| n.powf(1.5))));
    }

    #[test]
    fn a_part_that_grows_is_seen_once_it_is_the_larger() {
        // 20 us and 1 ns for each: at a million it is fifty times the rest.
        let growth = growth(&points(|n| 20.0 + n / 1000.0)).unwrap();
        assert!(Class::Log.is_exceeded(growth), "{growth:?}");
    }

    #[test]
    fn one_bad_figure_changes_little() {
        let mut points = points(|n| n);
        points[8].1 *= 50.0;
        assert!((growth(&points).unwrap().exponent - 1.0).abs() < 0.1);
    }

    #[test]
    fn a_slope_over_few_sizes_must_be_steep() {
        let steep = |value: fn(f64) -> f64| Class::Constant.is_exceeded(growth(&points(value)[..5]).unwrap());
        assert!(!steep(|n| n.powf(0.4)));
        assert!(steep(|n| n.powf(0.6)));
    }

    #[test]
    fn too_few_figures_have_none() {
        assert!(growth(&[]).is_none());
        assert!(growth(&[(1000, 1.0), (2000, 2.0)]).is_none());
        assert!(growth(&[(1000, 1.0), (2000, 2.0), (4000, 0.0)]).is_none());
    }
}
