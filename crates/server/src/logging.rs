//! The log: structured events to standard error or a file, at a level that can change at run time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haypile_config::{LogFormat, LogLevel, Values};
use parking_lot::Mutex;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

/// Changes the running log.
pub struct LogControl {
    level: reload::Handle<LevelFilter, Registry>,
    file: Option<LogFile>,
}

impl LogControl {
    /// Sets the level.
    pub fn set(&self, level: LogLevel) {
        // It fails only when the log is gone, and then there is nothing to change.
        let _ = self.level.reload(filter(level));
    }

    /// Opens the log file anew, for those who move it away when it has grown (logrotate).
    ///
    /// # Errors
    /// It cannot be opened: the log goes on where it was.
    pub fn reopen(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.reopen(),
            None => Ok(()),
        }
    }
}

/// The log file, shared by all threads that log.
#[derive(Clone)]
struct LogFile {
    path: Arc<PathBuf>,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(LogFile {
            path: Arc::new(path.to_owned()),
            file: Arc::new(Mutex::new(append_to(path)?)),
        })
    }

    fn reopen(&self) -> io::Result<()> {
        *self.file.lock() = append_to(&self.path)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().flush()
    }
}

/// Writes events so that what is told in them cannot pass for an event of its own, nor speak to a terminal: lines after the first
/// are indented, and control characters are escaped. Names that clients choose get into the log.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (text, end) = match event {
            [text @ .., b'\n'] => (text, true),
            text => (text, false),
        };
        if !text.iter().any(u8::is_ascii_control) {
            self.0.write_all(event)?;
            return Ok(event.len());
        }
        let mut plain = Vec::with_capacity(text.len() + 64);
        for &byte in text {
            match byte {
                b'\n' => plain.extend_from_slice(b"\n    "),
                b'\t' => plain.push(byte),
                byte if byte.is_ascii_control() => write!(plain, "\\x{byte:02x}")?,
                byte => plain.push(byte),
            }
        }
        if end {
            plain.push(b'\n');
        }
        self.0.write_all(&plain)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
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
    let file = match values.logfile.as_str() {
        "" => None,
        path => Some(LogFile::open(Path::new(path))?),
    };
    let writer = match file.clone() {
        None => BoxMakeWriter::new(|| Plain(io::stderr())),
        Some(file) => BoxMakeWriter::new(move || Plain(file.clone())),
    };
    let layer = fmt::layer().with_writer(writer).with_ansi(false).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    match values.log_format {
        LogFormat::Json => registry.with(layer.json()).init(),
        LogFormat::Text => registry.with(layer).init(),
    }
    log_panics();
    Ok(LogControl { level: control, file })
}

/// Has panics told in the log, wherever that is, instead of on standard error.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(
            thread = thread.name().unwrap_or("without a name"),
            at = panic.location().map(tracing::field::display),
            message = panic.payload_as_str().unwrap_or("without a message"),
            %backtrace,
            "panicked: a defect in the server"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_cannot_pass_for_an_event() {
        let mut out = Vec::new();
        let mut log = Plain(&mut out);
        log.write_all(b"INFO one user=\x1b[1mann\r\nWARN two\ttabbed\n")
            .unwrap();
        log.write_all("INFO bücher\n".as_bytes()).unwrap();
        let expected = "INFO one user=\\x1b[1mann\\x0d\n    WARN two\ttabbed\nINFO bücher\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_log_that_was_moved_away_goes_on_in_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        writeln!(log, "one").unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        writeln!(log, "two").unwrap();
        log.clone().reopen().unwrap();
        writeln!(log, "three").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("log.1")).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
    }
}
