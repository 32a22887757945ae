//! Errors of the data directory and of listening, with what to do about them.

use std::io;
use std::path::PathBuf;

/// Something in the data directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}: {source}{}", advice(source))]
pub struct DirError {
    /// What was attempted.
    pub verb: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The operating system's words.
    pub source: io::Error,
}

/// What to do about an error with the data directory, where the system's words do not say it.
fn advice(source: &io::Error) -> &'static str {
    use io::ErrorKind;
    match source.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "; it is not a directory: give another --dir",
        ErrorKind::PermissionDenied => "; give the user who runs haypile access to it, or give another --dir",
        ErrorKind::ReadOnlyFilesystem => "; give another --dir",
        _ if source.raw_os_error() == Some(libc::EMFILE) => "; raise the limit (ulimit -n)",
        _ => "",
    }
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {source}{}", listen_advice(source, addr))]
pub struct ListenError {
    /// The address, with what is spoken there if that is not plain RESP.
    pub addr: String,
    /// The operating system's words.
    pub source: io::Error,
}

/// What to do about an address that cannot be listened on.
fn listen_advice(source: &io::Error, addr: &str) -> String {
    use io::ErrorKind;
    let key = match addr {
        addr if addr.ends_with("(HTTP)") => "http-port",
        addr if addr.ends_with("(TLS)") => "tls-port",
        _ => "port",
    };
    match source.kind() {
        ErrorKind::AddrInUse => format!("; stop what uses it, or give another --{key}"),
        ErrorKind::AddrNotAvailable => "; this machine has no such address: give another --bind".to_owned(),
        ErrorKind::PermissionDenied => format!("; ports below 1024 need privileges: give another --{key}"),
        _ => String::new(),
    }
}
