//! LATENCY: events that took long, and histograms of commands.

use haypile_commands::table::{self, Known};
use haypile_commands::{CommandError, Outcome};
use haypile_resp::Request;

use super::{Execute, ServerCx};
use crate::latency::Series;
use crate::stats::{BUCKETS, bucket_micros};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("latency|doctor", doctor),
    ("latency|graph", graph),
    ("latency|histogram", histogram),
    ("latency|history", history),
    ("latency|latest", latest),
    ("latency|reset", reset),
];

fn latest(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let events = cx.server.latency.all();
    cx.reply.array(events.len());
    for (name, series) in events {
        let (at, ms) = series.samples.back().map_or((0, 0), |last| (last.at, last.ms));
        cx.reply.array(4);
        cx.reply.bulk_str(name);
        cx.reply.integer(at as i64);
        cx.reply.integer(ms as i64);
        cx.reply.integer(series.max_ms as i64);
    }
    Ok(())
}

fn series_of(cx: &ServerCx<'_, '_>, request: &Request) -> Option<Series> {
    cx.server.latency.series(&String::from_utf8_lossy(&request[2]))
}

fn history(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let samples = series_of(cx, request).unwrap_or_default().samples;
    cx.reply.array(samples.len());
    for sample in samples {
        cx.reply.array(2);
        cx.reply.integer(sample.at as i64);
        cx.reply.integer(sample.ms as i64);
    }
    Ok(())
}

fn reset(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let latency = &cx.server.latency;
    let forgotten = match request.len() {
        2 => latency.reset_all(),
        _ => {
            let events = request.iter().skip(2);
            events
                .filter(|event| latency.reset(&String::from_utf8_lossy(event)))
                .count()
        }
    };
    cx.reply.integer(forgotten as i64);
    Ok(())
}

/// Lines of the graph.
const GRAPH_LINES: u64 = 6;
/// Columns of the graph.
const GRAPH_COLUMNS: usize = 72;

fn graph(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let name = String::from_utf8_lossy(&request[2]).into_owned();
    let Some(series) = series_of(cx, request) else {
        return Err(CommandError::reply(format!(
            "ERR No samples available for event '{name}'"
        )));
    };
    let shown: Vec<u64> = series
        .samples
        .iter()
        .rev()
        .take(GRAPH_COLUMNS)
        .rev()
        .map(|s| s.ms)
        .collect();
    let (low, high) = (
        shown.iter().min().copied().unwrap_or(0),
        shown.iter().max().copied().unwrap_or(0),
    );
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n",
        series.max_ms
    );
    text.push_str(&"-".repeat(GRAPH_COLUMNS));
    text.push('\n');
    for line in (1..=GRAPH_LINES).rev() {
        let column = |ms: &u64| if ms * GRAPH_LINES >= high * line { '#' } else { ' ' };
        let row: String = shown.iter().map(column).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn doctor(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let threshold = cx.node.config.load().latency_monitor_threshold;
    let events = cx.server.latency.all();
    let text = if threshold == 0 && events.is_empty() {
        "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on; SLOWLOG, LATENCY \
         HISTOGRAM and INFO latencystats work without it.\n"
            .to_owned()
    } else if events.is_empty() {
        format!("No event has taken {threshold} ms or more.\n")
    } else {
        let mut text = format!("Events of {threshold} ms or more:\n");
        for (name, series) in &events {
            let total: u64 = series.samples.iter().map(|sample| sample.ms).sum();
            let mean = total / (series.samples.len() as u64).max(1);
            text.push_str(&format!(
                "- {name}: {} samples, mean {mean} ms, longest {} ms\n",
                series.samples.len(),
                series.max_ms
            ));
        }
        text.push_str(
            "SLOWLOG GET names the slow commands. INFO haypile shows fsync times and pending compaction, INFO stats the \
             reads that had to wait for the disk.\n",
        );
        text
    };
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn histogram(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let mut wanted: Vec<&'static Known> = Vec::new();
    let mut add = |known: &'static Known| {
        let all = std::iter::once(known).chain(&known.subcommands);
        wanted.extend(all.filter(|k| !wanted.iter().any(|w| w.id == k.id)).collect::<Vec<_>>());
    };
    match request.len() {
        2 => table::known().for_each(&mut add),
        _ => request.iter().skip(2).filter_map(table::find_full).for_each(&mut add),
    }
    let mut shown: Vec<(&str, [u64; BUCKETS])> = Vec::new();
    for known in wanted {
        let histogram = cx.server.stats.command(known.id).histogram();
        if histogram.iter().any(|&count| count > 0) {
            shown.push((&known.full_name, histogram));
        }
    }
    shown.sort_by_key(|(name, _)| *name);
    cx.reply.map(shown.len());
    for (name, histogram) in shown {
        cx.reply.bulk_str(name);
        cx.reply.map(2);
        cx.reply.bulk_str("calls");
        cx.reply.integer(histogram.iter().sum::<u64>() as i64);
        cx.reply.bulk_str("histogram_usec");
        cx.reply.map(histogram.iter().filter(|&&count| count > 0).count());
        let mut below = 0;
        for (bucket, count) in histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
            below += count;
            cx.reply.integer(bucket_micros(bucket) as i64);
            cx.reply.integer(below as i64);
        }
    }
    Ok(())
}
