//! The ports for clients, with TLS and without.

use std::net::SocketAddr;

use haypile_config::Values;
use haypile_node::ListenError;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

/// Where clients come in.
pub struct Listener {
    pub(super) socket: TcpListener,
    /// They speak TLS there.
    pub(super) tls: bool,
}

/// Binds all addresses; gives the listeners and the port, which with `port 0` the first of them got from the system. With
/// a `tls-port`, `port 0` is no port at all.
pub fn listen(values: &Values) -> Result<(Vec<Listener>, u16), ListenError> {
    let (mut listeners, mut port) = (Vec::new(), 0);
    if values.port > 0 || values.tls_port == 0 {
        port = bind(values, values.port, false, &mut listeners)?;
    }
    if values.tls_port > 0 {
        bind(values, values.tls_port, true, &mut listeners)?;
    }
    Ok((listeners, port))
}

fn bind(values: &Values, mut port: u16, tls: bool, listeners: &mut Vec<Listener>) -> Result<u16, ListenError> {
    for bind in &values.bind {
        let addr = SocketAddr::new(bind.ip, port);
        match bind_one(addr, values.tcp_backlog) {
            Ok(socket) => {
                port = socket.local_addr().map_or(port, |a| a.port());
                listeners.push(Listener { socket, tls });
            }
            Err(error) if bind.optional && error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(%addr, "this address does not exist on the machine: not listening on it");
            }
            Err(source) => {
                let suffix = if tls { " (TLS)" } else { "" };
                return Err(ListenError {
                    addr: format!("{addr}{suffix}"),
                    source,
                });
            }
        }
    }
    Ok(port)
}

fn bind_one(addr: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(backlog.min(i32::MAX as u32) as i32)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}
