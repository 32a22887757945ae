//! The log: structured events to standard error or a file, at a level that can change at run time.

use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogFormat, LogLevel, Values};

/// Changes the level of the running log.
pub struct LogControl(reload::Handle<LevelFilter, Registry>);

impl LogControl {
    /// Sets the level.
    pub fn set(&self, level: LogLevel) {
        // It fails only when the log is gone, and then there is nothing to change.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Verbose | LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    }
}

/// Starts the log as configured.
///
/// # Errors
/// The log file cannot be opened.
pub fn start(values: &Values) -> io::Result<LogControl> {
    let (level, control) = reload::Layer::new(filter(values.loglevel));
    let json = values.log_format == LogFormat::Json;
    let registry = tracing_subscriber::registry().with(level);
    if values.logfile.is_empty() {
        let layer = fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
        match json {
            true => registry.with(layer.json()).init(),
            false => registry.with(layer).init(),
        }
    } else {
        let file = OpenOptions::new().create(true).append(true).open(&values.logfile)?;
        let layer = fmt::layer()
            .with_writer(Mutex::new(file))
            .with_ansi(false)
            .with_target(false);
        match json {
            true => registry.with(layer.json()).init(),
            false => registry.with(layer).init(),
        }
    }
    Ok(LogControl(control))
}
