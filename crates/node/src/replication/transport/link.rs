//! Connections between servers, with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use haypile_config::Config;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::door::{ADMISSION_TIME, Admitted, Door, Guest};
use crate::seldom::Seldom;
use crate::tls::{self, Tls};

/// Pause after a connection that could not be accepted: out of file descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// The first byte of a connection that begins with a TLS handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection to another server.
pub(in crate::replication) enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that has come to the sync port.
pub(in crate::replication) struct Incoming {
    link: Link,
    guest: Guest,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(in crate::replication) struct Peer {
    pub(in crate::replication) address: Option<SocketAddr>,
    /// The connection speaks TLS.
    pub(in crate::replication) tls: bool,
    /// To be told once it has said who it is.
    pub(in crate::replication) admitted: Admitted,
}

impl Connected for Incoming {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let (socket, tls) = match &self.link {
            Link::Plain(socket) => (socket, false),
            Link::Tls(stream) => (stream.get_ref().0, true),
        };
        Peer {
            address: socket.peer_addr().ok(),
            tls,
            admitted: self.guest.admitted(),
        }
    }
}

/// Connects to another server, with TLS if there is a configuration for it, which then may take `patience`.
///
/// # Errors
/// The network, or TLS: [`tls::describe`] tells.
pub(in crate::replication) async fn connect(
    host: &str,
    port: u16,
    config: Option<Arc<ClientConfig>>,
    patience: Duration,
) -> io::Result<Link> {
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    let Some(config) = config else {
        return Ok(Link::Plain(socket));
    };
    // The name is neither sent nor checked.
    let name = ServerName::from(socket.peer_addr()?.ip());
    let handshake = TlsConnector::from(config).connect(name, socket);
    let stream = tokio::time::timeout(patience, handshake).await.map_err(|_| {
        let text = format!(
            "no TLS handshake within {} ms: does it speak TLS on this port?",
            patience.as_millis()
        );
        io::Error::new(io::ErrorKind::TimedOut, text)
    })??;
    Ok(Link::Tls(Box::new(stream.into())))
}

/// What is looked at when a connection comes.
#[derive(Clone)]
pub(in crate::replication) struct Accepting {
    pub(in crate::replication) config: Arc<Config>,
    pub(in crate::replication) tls: Arc<Tls>,
    /// How many there may be.
    pub(in crate::replication) places: usize,
    pub(in crate::replication) door: Arc<Mutex<Door>>,
}

/// The connections that come to a listener. Those that begin with a TLS handshake get TLS, if it is configured. All listeners
/// have one door.
pub(in crate::replication) fn incoming(
    accepting: Accepting,
    listener: TcpListener,
) -> ReceiverStream<io::Result<Incoming>> {
    let (ready, links) = mpsc::channel(1);
    let complaints = Arc::new(Seldom::default());
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(unsaid) = complaints.tell() {
                        tracing::warn!(%error, unsaid, "a connection to the sync port cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let places = accepting.places;
            let Some(mut guest) = accepting.door.lock().enter(places, ADMISSION_TIME) else {
                if let Some(unsaid) = complaints.tell() {
                    tracing::warn!(%address, places, unsaid, "a connection to the sync port is refused: sync-connections-max");
                }
                continue;
            };
            let (accepting, ready, complaints) = (accepting.clone(), ready.clone(), complaints.clone());
            tokio::spawn(async move {
                let greeted = tokio::select! {
                    greeted = greet(&accepting, socket) => greeted,
                    error = guest.shown_out() => Err(error),
                };
                match greeted {
                    // It fails only when the server stops.
                    Ok(Some(link)) => drop(ready.send(Ok(Incoming { link, guest })).await),
                    Ok(None) => {}
                    Err(error) => {
                        let (_, cause) = tls::describe(&error);
                        if let Some(unsaid) = complaints.tell() {
                            tracing::info!(%address, cause, unsaid, "a connection to the sync port has failed");
                        }
                    }
                }
            });
        }
    });
    ReceiverStream::new(links)
}

/// Finds out what a connection speaks; `None` if it says nothing and ends.
async fn greet(accepting: &Accepting, socket: TcpStream) -> io::Result<Option<Link>> {
    let patience = Duration::from_secs(u64::from(accepting.config.load().tls_handshake_timeout));
    let contexts = accepting.tls.get();
    // What a stream sends must not wait for the acknowledgement of what it sent before.
    socket.set_nodelay(true)?;
    let handshake = async {
        let mut first = [0];
        match (socket.peek(&mut first).await?, first, contexts) {
            (0, ..) => Ok(None),
            (_, [TLS_HANDSHAKE], Some(contexts)) => {
                let stream = TlsAcceptor::from(contexts.replicas.clone()).accept(socket).await?;
                Ok(Some(Link::Tls(Box::new(stream.into()))))
            }
            (_, [TLS_HANDSHAKE], None) => Err(io::Error::other("it speaks TLS, which is not configured here")),
            _ => Ok(Some(Link::Plain(socket))),
        }
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it says nothing, or no TLS handshake in time");
    tokio::time::timeout(patience, handshake).await.map_err(late)?
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Link::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Link::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Link::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Link::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Link::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
            Link::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Link::Plain(socket) => socket.is_write_vectored(),
            Link::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Link::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Link::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Link::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Link::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let incoming = self.get_mut();
        if let Poll::Ready(error) = incoming.guest.poll_shown_out(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut incoming.link).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().link).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().link).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().link).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().link).poll_shutdown(cx)
    }
}
