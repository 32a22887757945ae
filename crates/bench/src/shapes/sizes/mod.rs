//! Commands over sizes that double: what grows faster than it should.
//!
//! A command is timed at each size against both servers, and for Haypile what it adds to the log is read; from these
//! come the exponents with which they grow. One connection sends, so that a time is what a command takes by itself.

mod data;
mod growth;
mod scenarios;
mod template;
mod timing;

use crate::error::Error;
use crate::report::{Table, median, met, thousands};
use crate::sample::wait_for_rest;

use super::Args;
use super::pairs::Both;

use self::growth::{Class, Growth, growth};
use self::scenarios::{On, QUICK, SCENARIOS, Scenario};
use self::template::Numbers;
use self::timing::Timing;

/// The smallest size.
const N_MIN: u64 = 1_000;
/// A command that takes longer is timed once at this size, and not at larger ones.
const SLOW_US: f64 = 5e6;
/// All commands of a scenario together change at most this part of a collection.
const CHANGED_PART: u64 = 4;

/// One scenario's figures, Redis' first.
struct Series {
    scenario: &'static Scenario,
    servers: [Figures; 2],
}

#[derive(Default)]
struct Figures {
    us: Vec<(u64, f64)>,
    log_bytes: Vec<(u64, f64)>,
    /// It has become slow, or has been refused.
    ended: bool,
}

/// Runs the scenarios.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    let wanted = SCENARIOS
        .iter()
        .filter(|scenario| args.wants("sizes", scenario.name, QUICK.contains(&scenario.name)));
    let mut all: Vec<Series> = wanted
        .map(|scenario| Series {
            scenario,
            servers: Default::default(),
        })
        .collect();
    let sizes: Vec<u64> = std::iter::successors(Some(N_MIN), |n| n.checked_mul(2))
        .take_while(|n| *n <= args.n_max)
        .collect();
    for &n in &sizes {
        for on in [On::List, On::Zset, On::Set, On::Hash, On::Text, On::Keys] {
            let mut series: Vec<&mut Series> = all
                .iter_mut()
                .filter(|series| series.scenario.on == on && !series.servers.iter().all(|figures| figures.ended))
                .collect();
            if series.is_empty() {
                continue;
            }
            let mut servers = args.start()?;
            for server in &servers {
                data::load(&mut server.client()?, on, n)?;
            }
            for series in &mut series {
                measure(args, series, n, &mut servers)?;
            }
        }
    }
    Ok(vec![table(args, &sizes, &all)])
}

/// Times one scenario at one size.
fn measure(args: &Args, series: &mut Series, n: u64, servers: &mut Both) -> Result<(), Error> {
    wait_for_rest(servers)?;
    let count_max = (n / CHANGED_PART / args.pairs as u64).max(1);
    let mut timings: [Vec<Timing>; 2] = [Vec::new(), Vec::new()];
    let mut numbers = [Numbers::new(n), Numbers::new(n)];
    for pair in 0..args.pairs {
        for i in [pair % 2, 1 - pair % 2] {
            if series.servers[i].ended {
                continue;
            }
            let mut client = servers[i].client()?;
            match timing::time(&mut client, series.scenario, &mut numbers[i], count_max) {
                Ok(timing) => {
                    series.servers[i].ended = timing.us > SLOW_US;
                    timings[i].push(timing);
                }
                // One command that a server does not take must not take the other figures with it. A server that has
                // ended is noticed at the next connection.
                Err(error @ (Error::Reply { .. } | Error::Connection(_))) => {
                    println!("{} of {n}, {}: {error}", series.scenario.name, servers[i].name());
                    series.servers[i].ended = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
    for (figures, timings) in series.servers.iter_mut().zip(&timings) {
        figures
            .us
            .extend(median(timings.iter().map(|t| t.us)).map(|us| (n, us)));
        let log_bytes = median(timings.iter().filter_map(|t| t.log_bytes));
        figures.log_bytes.extend(log_bytes.map(|bytes| (n, bytes)));
    }
    let last = |points: &[(u64, f64)]| {
        let of_n = points.last().filter(|(size, _)| *size == n);
        of_n.map_or_else(|| "-".to_owned(), |(_, value)| figure(*value))
    };
    let [redis, haypile] = &series.servers;
    println!(
        "{} of {}: redis {} us, haypile {} us, {} bytes logged",
        series.scenario.name,
        thousands(n as f64),
        last(&redis.us),
        last(&haypile.us),
        last(&haypile.log_bytes)
    );
    Ok(())
}

fn table(args: &Args, sizes: &[u64], all: &[Series]) -> Table {
    let mut header = vec!["line".to_owned(), "of".to_owned(), "should be".to_owned()];
    header.extend(sizes.iter().map(|n| thousands(*n as f64)));
    header.extend(["exponent".to_owned(), "met".to_owned()]);
    let mut rows = Vec::new();
    for series in all {
        let [redis, haypile] = &series.servers;
        let scenario = series.scenario;
        let quick_enough = haypile.us.iter().all(|(_, us)| *us < scenario.us_max);
        let kept_up = !haypile.ended || redis.ended;
        // What makes Redis' time grow faster than the size, too, is the machine.
        let as_redis = scenario.class == Class::Linear && grows_no_faster(&haypile.us, &redis.us);
        let time = |growth: Option<Growth>| match growth {
            _ if !(quick_enough && kept_up) => Some(false),
            growth => growth.map(|growth| as_redis || !scenario.class.is_exceeded(growth)),
        };
        rows.push(row(scenario, "redis us", &redis.us, sizes, |_| None));
        rows.push(row(scenario, "haypile us", &haypile.us, sizes, time));
        if haypile.log_bytes.iter().any(|(_, bytes)| *bytes > 0.0) {
            let log = |growth: Option<Growth>| growth.map(|growth| !scenario.class.is_exceeded(growth));
            rows.push(row(scenario, "haypile log bytes", &haypile.log_bytes, sizes, log));
        }
    }
    Table {
        title: format!(
            "sizes that double: time of a command and what it logs, medians of {} pairs; the exponent is that of the larger half",
            args.pairs
        ),
        header,
        rows,
    }
}

fn grows_no_faster(points: &[(u64, f64)], than: &[(u64, f64)]) -> bool {
    let growths = growth(points).zip(growth(than));
    growths.is_some_and(|(growth, than)| growth.exponent <= than.exponent)
}

/// A row of the table; `judge` says whether the growth is met, or nothing.
fn row(
    scenario: &Scenario,
    what: &str,
    points: &[(u64, f64)],
    sizes: &[u64],
    judge: impl FnOnce(Option<Growth>) -> Option<bool>,
) -> Vec<String> {
    let mut row = vec![scenario.name.to_owned(), what.to_owned(), scenario.class.to_string()];
    let at = |n: &u64| points.iter().find(|(size, _)| size == n);
    row.extend(
        sizes
            .iter()
            .map(|n| at(n).map_or_else(String::new, |(_, value)| figure(*value))),
    );
    let growth = growth(points);
    row.push(growth.map_or_else(String::new, |growth| format!("{:.2}", growth.exponent)));
    row.push(judge(growth).map_or_else(String::new, met));
    row
}

fn figure(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        thousands(value)
    }
}
