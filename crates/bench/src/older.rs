//! The same lines against an older program: no line is to use more CPU time than before.

use crate::report::{Table, median, median_interval, met};
use crate::sample::{Sample, median_of};

/// A line may use so many times the CPU time of the older program.
const TIMES_MAX: f64 = 1.03;

/// The table; a line has the new program's samples and the old one's, pair by pair. The CPU time is judged that a
/// server uses while the line runs; the last columns have what it does afterwards, too.
pub fn table<'a>(pipeline: u32, lines: impl Iterator<Item = (&'a str, (&'a [Sample], &'a [Sample]))>) -> Table {
    let row = |(name, (new, old)): (&str, (&[Sample], &[Sample]))| {
        let (times, interval) = ratios(new, old, |s| s.cpu_us);
        let (all_times, all_interval) = ratios(new, old, |s| s.cpu_us + s.after_us);
        vec![
            name.to_owned(),
            format!("{:.2}", median_of(old, |s| s.cpu_us)),
            format!("{:.2}", median_of(new, |s| s.cpu_us)),
            format!("{times:.3}"),
            interval,
            format!("<= {TIMES_MAX}"),
            met(times <= TIMES_MAX),
            format!("{all_times:.3}"),
            all_interval,
        ]
    };
    Table {
        title: format!(
            "-P {pipeline}: new beside old, medians of the pairs' ratios of CPU time, and where the median lies with 95 % (the least and the largest with fewer than six pairs)"
        ),
        header: [
            "test",
            "old CPU us/op",
            "new CPU us/op",
            "new/old",
            "interval",
            "target",
            "met",
            "with after",
            "its interval",
        ]
        .map(str::to_owned)
        .into(),
        rows: lines.map(row).collect(),
    }
}

/// The median of the pairs' ratios, and its interval.
fn ratios(new: &[Sample], old: &[Sample], cost: fn(&Sample) -> f64) -> (f64, String) {
    let ratios: Vec<f64> = new.iter().zip(old).map(|(new, old)| cost(new) / cost(old)).collect();
    let interval = median_interval(ratios.iter().copied());
    (
        median(ratios).unwrap_or(f64::NAN),
        interval.map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_us: f64) -> Sample {
        Sample {
            ops_per_s: 1.0,
            p99_ms: 1.0,
            cpu_us,
            after_us: 10.0,
        }
    }

    #[test]
    fn a_line_is_judged_by_the_pairs() {
        let old = [1.0, 2.0, 4.0].map(sample);
        let (slower, same) = ([1.04, 2.08, 4.0].map(sample), [1.03, 2.0, 8.0].map(sample));
        let lines = [("GET", (&slower[..], &old[..])), ("SET", (&same[..], &old[..]))];
        let table = table(16, lines.into_iter());
        assert_eq!(table.header.len(), table.rows[0].len());
        assert_eq!(
            table.rows[0][1..7],
            ["2.00", "2.08", "1.040", "1.000 to 1.040", "<= 1.03", "NO"]
        );
        assert_eq!(table.rows[1][3..7], ["1.030", "1.000 to 2.000", "<= 1.03", "yes"]);
    }
}
