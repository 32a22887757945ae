//! What Haypile is to reach at least, as a part of Redis' operations per second.

use crate::workload::Test;

/// The target for a test, or `None` where none is set (other depths than 1 and 16).
pub fn target(test: Test, pipeline: u32) -> Option<f64> {
    match (pipeline, test) {
        (1, _) => Some(0.85),
        (16, Test::Get) => Some(0.90),
        (16, Test::Set | Test::Mset) => Some(0.80),
        (16, Test::Hset) => Some(0.60),
        (16, Test::Zadd) => Some(0.50),
        (16, _) => Some(0.75),
        _ => None,
    }
}
