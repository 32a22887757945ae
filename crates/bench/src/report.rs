//! Tables, as text for a terminal and as markdown, and the machine they come from.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::error::Error;

/// A table; the first column is aligned to the left, the others to the right.
#[derive(Clone, Debug)]
pub struct Table {
    /// Stands above it.
    pub title: String,
    /// The columns' names.
    pub header: Vec<String>,
    /// As many cells each as the header has.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// With padded columns.
    pub fn text(&self) -> String {
        let widths = self.widths();
        let mut out = format!("\n{}\n", self.title);
        for row in std::iter::once(&self.header).chain(&self.rows) {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(i, (cell, width))| pad(cell, *width, i))
                .collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    /// As GitHub reads it.
    pub fn markdown(&self) -> String {
        let mut out = format!("### {}\n\n", self.title);
        let rule: Vec<String> = (0..self.header.len())
            .map(|i| if i == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        for row in [&self.header, &rule].into_iter().chain(&self.rows) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        out.push('\n');
        out
    }

    /// The title and the rows, each as an object with the header's names. A cell is a number if it reads as one
    /// (without the blanks between thousands), true or false if it is [`met`]'s, null if it is empty.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<String>| {
            let cells = self.header.iter().zip(row);
            Value::Object(cells.map(|(name, cell)| (name.clone(), cell_json(cell))).collect())
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(object).collect::<Vec<_>>() })
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.header.len())
            .map(|i| {
                std::iter::once(&self.header)
                    .chain(&self.rows)
                    .filter_map(|r| r.get(i))
                    .map(|c| c.chars().count())
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect()
    }
}

fn cell_json(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        "yes" => true.into(),
        "NO" => false.into(),
        text => match text.replace(' ', "").parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => text.into(),
        },
    }
}

fn pad(cell: &str, width: usize, column: usize) -> String {
    if column == 0 {
        format!("{cell:<width$}")
    } else {
        format!("{cell:>width$}")
    }
}

/// Prints the tables, and writes them to `markdown` if given, below a line that says where they come from.
pub fn publish(tables: &[Table], markdown: Option<&Path>) -> Result<(), Error> {
    for table in tables {
        print!("{}", table.text());
    }
    write(tables, markdown, None)
}

/// Writes the tables to the files that are given, with where they come from.
pub fn write(tables: &[Table], markdown: Option<&Path>, json: Option<&Path>) -> Result<(), Error> {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("haypile-bench {}", command.join(" "));
    if let Some(path) = markdown {
        let mut text = format!("{}\n\nCommand: `{command}`\n\n", machine());
        tables.iter().for_each(|table| text.push_str(&table.markdown()));
        write_file(path, &text)?;
    }
    if let Some(path) = json {
        let tables: Vec<Value> = tables.iter().map(Table::json).collect();
        let all = json!({ "machine": machine(), "command": command, "tables": tables });
        write_file(path, &format!("{all:#}\n"))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File {
        path: path.into(),
        source,
    })?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// One line: processor, cores, memory, kernel, version of Redis.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map(|(_, v)| v.trim().to_owned())
    };
    let model = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory_gib = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|v| v.strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib >> 20);
    let kernel = read("/proc/sys/kernel/osrelease");
    let redis = Command::new("redis-benchmark").arg("--version").output().ok();
    let redis = redis
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
        .unwrap_or_default();
    format!(
        "{model}, {cores} cores, {memory_gib} GiB, Linux {}, {redis}",
        kernel.trim()
    )
}

/// The middle of the values, or the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (half, odd) = (values.len() / 2, values.len() % 2 == 1);
    match values.get(half)? {
        middle if odd => Some(*middle),
        upper => Some((values.get(half - 1)? + upper) / 2.0),
    }
}

/// Two of the values between which their median lies in 95 of 100 such series, whatever their distribution (the order
/// statistics of the sign test); the least and the largest if there are too few for that.
pub fn median_interval(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len() as i32;
    // How likely it is that no more than `k` of `n` values lie on one side of the median, added up.
    let (mut ways, mut likely, mut outside) = (1.0, 0.0, 0);
    for k in 0..n / 2 {
        likely += ways * 0.5_f64.powi(n);
        if likely > 0.025 {
            break;
        }
        outside = k as usize;
        ways *= f64::from(n - k) / f64::from(k + 1);
    }
    let last = values.len().checked_sub(1)?;
    Some((*values.get(outside)?, *values.get(last - outside)?))
}

/// The value that so many of a hundred do not exceed; the values must be sorted.
pub fn percentile<T: Copy>(sorted: &[T], percent: f64) -> Option<T> {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Whether a target is met, as it stands in the tables.
pub fn met(met: bool) -> String {
    if met { "yes" } else { "NO" }.to_owned()
}

/// With a blank between thousands.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn intervals_of_medians() {
        let interval = |n: i32| median_interval((1..=n).map(f64::from));
        assert_eq!(interval(0), None);
        assert_eq!(interval(1), Some((1.0, 1.0)));
        assert_eq!(interval(5), Some((1.0, 5.0)));
        // As in tables of the sign test.
        assert_eq!(interval(10), Some((2.0, 9.0)));
        assert_eq!(interval(20), Some((6.0, 15.0)));
    }

    #[test]
    fn percentiles() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 50.0), Some(100));
        assert_eq!(percentile(&values, 99.0), Some(198));
        assert_eq!(percentile(&values, 100.0), Some(200));
        assert_eq!(percentile(&values[..1], 1.0), Some(1));
        assert_eq!(percentile(&values[..0], 99.0), None);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(7.4), "7");
        assert_eq!(thousands(1234.0), "1 234");
        assert_eq!(thousands(1_234_567.0), "1 234 567");
    }

    #[test]
    fn both_forms_of_a_table() {
        let table = Table {
            title: "T".into(),
            header: vec!["test".into(), "n".into()],
            rows: vec![vec!["SET".into(), "100".into()]],
        };
        assert_eq!(table.text(), "\nT\ntest    n\nSET   100\n");
        assert_eq!(
            table.markdown(),
            "### T\n\n| test | n |\n| --- | ---: |\n| SET | 100 |\n\n"
        );
        assert_eq!(
            table.json(),
            json!({ "title": "T", "rows": [{ "test": "SET", "n": 100.0 }] })
        );
    }

    #[test]
    fn cells_as_json() {
        let cells = ["", "yes", "NO", "1 234", "0.5", "10 of 100", "inf"].map(cell_json);
        assert_eq!(
            json!(cells),
            json!([null, true, false, 1234.0, 0.5, "10 of 100", "inf"])
        );
    }
}
