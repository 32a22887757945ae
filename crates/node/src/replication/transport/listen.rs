//! The sync port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use haypile_config::Values;

use crate::error::ListenError;

/// How far the port lies above the one for clients, if nothing else is said.
const ABOVE: u16 = 1000;

/// Binds the sync port to the addresses that clients are listened for on; gives the port, 0 if it is off.
///
/// # Errors
/// An address cannot be listened on.
pub fn listen(values: &Values, port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    match u16::try_from(values.sync_port) {
        Ok(0) => Ok((Vec::new(), 0)),
        Ok(port) => bind(values, port),
        Err(_) if values.port == 0 && values.tls_port == 0 => bind(values, 0),
        Err(_) => match port.checked_add(ABOVE).map(|port| bind(values, port)) {
            Some(Ok(bound)) => Ok(bound),
            _ => {
                let (listeners, port) = bind(values, 0)?;
                tracing::info!(
                    port,
                    "the usual sync port is taken: another one is used, for which replicas ask"
                );
                Ok((listeners, port))
            }
        },
    }
}

fn bind(values: &Values, mut port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    let mut listeners = Vec::new();
    for bind in &values.bind {
        let addr = SocketAddr::new(bind.ip, port);
        let listen = || -> io::Result<TcpListener> {
            let listener = TcpListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        match listen() {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |addr| addr.port());
                listeners.push(listener);
            }
            // Said already, of the port for clients.
            Err(error) if bind.optional && error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(source) => {
                return Err(ListenError {
                    addr: format!("{addr} (sync)"),
                    source,
                });
            }
        }
    }
    Ok((listeners, port))
}
