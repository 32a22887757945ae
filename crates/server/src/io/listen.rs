use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Values;
use crate::node::NodeError;

/// Binds all addresses; gives the listeners and the port, which with `port 0` the first of them got from the system.
pub fn listen(values: &Values) -> Result<(Vec<TcpListener>, u16), NodeError> {
    let mut port = values.port;
    let mut listeners = Vec::new();
    for bind in &values.bind {
        let addr = SocketAddr::new(bind.ip, port);
        match bind_one(addr, values.tcp_backlog) {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |a| a.port());
                listeners.push(listener);
            }
            Err(error) if bind.optional && error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(%addr, "this address does not exist on the machine: not listening on it");
            }
            Err(source) => {
                return Err(NodeError::Listen {
                    addr: addr.to_string(),
                    source,
                });
            }
        }
    }
    Ok((listeners, port))
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
