//! A link that can be cut: a proxy in this process, on an address of its own, for the ports of one server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::error::Error;

/// Between two looks at the link, and for new connections.
const POLL: Duration = Duration::from_millis(5);
const READ_BYTES: usize = 64 << 10;

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Bytes pass.
    Up,
    /// Nothing passes, and nobody is told. What was on its way arrives when the link is up again.
    Silent,
    /// Connections are reset, and so are new ones.
    Reset,
    /// The proxy has ended.
    Gone,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<AtomicU8>,
}

impl Proxy {
    /// Not the address of the servers; all of 127.0.0.0/8 is the machine itself.
    pub const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

    /// Listens on [`Self::HOST`] and connects to 127.0.0.1, on the same ports.
    pub fn start(ports: &[u16]) -> Result<Self, Error> {
        let proxy = Self {
            state: Arc::new(AtomicU8::new(Link::Up as u8)),
        };
        for &port in ports {
            let listener = TcpListener::bind((Self::HOST, port))?;
            listener.set_nonblocking(true)?;
            let state = proxy.state.clone();
            spawn("proxy-accept", move || accept(&listener, port, &state))?;
        }
        Ok(proxy)
    }

    /// Changes the link.
    pub fn set(&self, link: Link) {
        self.state.store(link as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Link::Gone);
    }
}

fn link(state: &AtomicU8) -> Link {
    match state.load(Ordering::SeqCst) {
        0 => Link::Up,
        1 => Link::Silent,
        2 => Link::Reset,
        _ => Link::Gone,
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

fn accept(listener: &TcpListener, port: u16, state: &Arc<AtomicU8>) {
    loop {
        match (link(state), listener.accept()) {
            (Link::Gone, _) => return,
            // Its neighbour may be gone: then this one ends as a connection that is reset.
            (Link::Up | Link::Silent, Ok((stream, _))) => drop(forward(stream, port, state)),
            (Link::Reset, Ok((stream, _))) => reset(&stream),
            (_, Err(_)) => thread::sleep(POLL),
        }
    }
}

fn forward(near: TcpStream, port: u16, state: &Arc<AtomicU8>) -> io::Result<()> {
    let state = state.clone();
    spawn("proxy", move || {
        if hold(&state)
            && let Ok(far) = TcpStream::connect(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        {
            let (near, far) = (Arc::new(near), Arc::new(far));
            let (near_too, far_too, state_too) = (near.clone(), far.clone(), state.clone());
            // Without it there is one direction, and soon none.
            let _ = spawn("proxy-back", move || pump(&far_too, &near_too, &state_too));
            pump(&near, &far, &state);
        } else {
            reset(&near);
        }
    })
}

/// Waits while the link is silent. Whether the connection may go on.
fn hold(state: &AtomicU8) -> bool {
    loop {
        match link(state) {
            Link::Up => return true,
            Link::Silent => thread::sleep(POLL),
            Link::Reset | Link::Gone => return false,
        }
    }
}

/// Carries one direction until an end closes or the link does.
fn pump(mut from: &TcpStream, mut to: &TcpStream, state: &AtomicU8) {
    let mut chunk = vec![0; READ_BYTES];
    // A reader that never wakes up would never see the link's state.
    let ready = to.set_nodelay(true).and_then(|()| from.set_read_timeout(Some(POLL)));
    while ready.is_ok() {
        match from.read(&mut chunk) {
            Ok(0) => {
                // The other direction may have more to say.
                let _ = to.shutdown(std::net::Shutdown::Write);
                return;
            }
            Ok(n) if hold(state) && to.write_all(&chunk[..n]).is_ok() => {}
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if !hold(state) {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    reset(from);
    reset(to);
}

/// Makes the stream's end a reset, for both directions.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_link_holds_back_and_a_reset_one_ends() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let proxy = Proxy::start(&[port]).unwrap();
        let mut client = TcpStream::connect((Proxy::HOST, port)).unwrap();
        let (mut served, _) = server.accept().unwrap();
        let mut word = [0; 4];
        client.write_all(b"ping").unwrap();
        served.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");

        proxy.set(Link::Silent);
        served.write_all(b"pong").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert_eq!(client.read(&mut word).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.set(Link::Up);
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"pong");

        proxy.set(Link::Reset);
        assert_eq!(client.read(&mut word).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
